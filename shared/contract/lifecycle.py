"""The states of a VM and what each action means in each of them: one table, pure.

The api asks it before it troubles a supervisor, the supervisor asks it again before it acts, and
docs/lifecycle.md is printed from it.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.messages.vm import State


class Action(StrEnum):
    """What a user may ask of a VM."""

    START = "start"
    STOP = "stop"
    KILL = "kill"
    SESSION = "session"  # ssh, exec, cp: anything that needs the guest
    RESTART = "restart"
    PAUSE = "pause"
    RESUME = "resume"
    RESIZE = "resize"  # set --vcpu, --memory, --disk-size
    SUSPEND = "suspend"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"  # put a snapshot in place of what the VM is now
    FORK = "fork"  # fork, run --from: make another VM of what this one is now


class Meaning(StrEnum):
    """What an action comes to in a state."""

    ACT = "act"
    NOTHING = "nothing"  # it is so already: success, nothing done
    CONFLICT = "conflict"
    NOT_RUNNING = "not_running"


_A, _N, _C, _R = Meaning.ACT, Meaning.NOTHING, Meaning.CONFLICT, Meaning.NOT_RUNNING


def _row(*meanings: Meaning) -> dict[Action, Meaning]:
    return dict(zip(Action, meanings, strict=True))


TABLE: "dict[State, dict[Action, Meaning]]" = {
    #                start stop kill session restart pause resume resize suspend snap restore fork
    "created": _row(_A, _N, _N, _R, _A, _R, _R, _A, _R, _R, _A, _R),  # it has no disks yet
    "starting": _row(_A, _A, _A, _R, _C, _C, _C, _C, _C, _C, _C, _C),  # start joins the boot
    "running": _row(_N, _A, _A, _A, _A, _A, _N, _C, _A, _A, _A, _A),
    "paused": _row(_C, _A, _A, _R, _A, _N, _A, _C, _A, _A, _A, _A),
    # Its memory is not dropped by the way: stop and kill find nothing that runs.
    "suspended": _row(_A, _N, _N, _R, _C, _R, _A, _C, _N, _A, _A, _A),
    "stopping": _row(_C, _A, _A, _R, _C, _C, _C, _C, _C, _C, _C, _C),  # stop joins the stop
    "stopped": _row(_A, _N, _N, _R, _A, _R, _R, _A, _R, _A, _A, _A),
    # A failed VM may still have a VMM (its supervisor was lost): to kill, and to start again. It
    # may be writing to the disks.
    "failed": _row(_A, _A, _A, _R, _A, _R, _R, _A, _R, _C, _A, _C),
}

LIVE: "frozenset[State]" = frozenset({"starting", "running", "paused", "stopping"})
"""States in which a VMM process is there, or about to be."""

PRUNABLE: "frozenset[State]" = frozenset({"created", "stopped", "failed"})
"""States in which a VM holds nothing but its disks: ``vm prune`` deletes it."""

_WAIT = "wait until it is done, or: banger vm kill {name}"
_END = "end it first: banger vm kill {name}"
_HINTS: "dict[tuple[State, Action], str]" = {
    (
        "starting",
        Action.SESSION,
    ): "wait until it runs, or follow its console: banger vm logs -f {name}",
    ("stopping", Action.SESSION): "wait until it has stopped, then: banger vm start {name}",
    ("paused", Action.START): "resume it: banger vm resume {name}",
    ("paused", Action.SESSION): "resume it: banger vm resume {name}",
    ("paused", Action.RESIZE): "stop it first: banger vm stop {name}",
    ("running", Action.RESIZE): "stop it first: banger vm stop {name}",
    ("suspended", Action.SESSION): "resume it: banger vm resume {name}",
    ("suspended", Action.PAUSE): "resume it: banger vm resume {name}",
    (
        "suspended",
        Action.RESTART,
    ): "resume it first: banger vm resume {name}; or boot it anew, without what is in its memory: "
    "banger vm start --discard-memory {name}",
    (
        "suspended",
        Action.RESIZE,
    ): "resume and stop it first: banger vm resume {name}, then banger vm stop {name}",
    ("failed", Action.SNAPSHOT): _END,
    ("failed", Action.FORK): _END,
}


def states_for(action: Action) -> "frozenset[State]":
    """The states in which there is something to do."""
    return frozenset(state for state, row in TABLE.items() if row[action] is Meaning.ACT)


def check(name: str, state: "State", action: Action) -> bool:
    """Whether there is something to do.

    Raises:
        BangerError: ``conflict`` or ``not_running``, with what to do next.
    """
    meaning = TABLE[state][action]
    if meaning is Meaning.CONFLICT:
        hint = _HINTS.get((state, action), _WAIT).format(name=name)
        raise BangerError(Code.CONFLICT, f"{name} is {state}: cannot {action} it", hint=hint)
    if meaning is Meaning.NOT_RUNNING:
        hint = _HINTS.get((state, action), "start it: banger vm start {name}").format(name=name)
        raise BangerError(Code.NOT_RUNNING, f"{name} is {state}, not running", hint=hint)
    return meaning is Meaning.ACT
