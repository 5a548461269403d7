"""What is done to the system, drawn from a seed. Pure: the same seed gives the same faults.

A plan never asks for more ends of one service than the restart intensity allows
(``shared.host.restart``): giving up then is what is specified, and would end the run.
"""

import random
from collections import deque
from dataclasses import dataclass

SERVICES = ("broker", "store", "images", "workspaces", "api", "nat", "dns")
CLIENTS = 8
REMEMBERED = 8
"""Steps over which the ends of one process are counted; a step takes two seconds or more."""
ENDS = 3
"""How often one process may be ended in so many steps."""

QUIET_VERBS = ("list", "show", "exec", "stats", "nat", "no-nat", "health", "create+delete")
LOUD_VERBS = ("stop", "start", "restart", "kill", "pause+resume", "suspend+resume")
"""Those after which a VM is not the one it was (but for pause and resume)."""
MOVES = frozenset({"suspend guest", "restore guest"})
"""Faults after which a guest is the same boot, in another VMM."""
ALONE = frozenset({"vanish run", "second stack"})
"""The run directory takes the sockets of the VMMs with it, so a supervisor that is killed at the
same moment cannot be replaced: these come alone, or together."""
ENDING_VERBS = frozenset({"stop", "restart", "kill"})


@dataclass(frozen=True)
class Fault:
    """One thing done. ``target`` is a service or a VM's name; ``seconds`` how long it lasts.

    ``drop exec`` and ``drop run`` kill a client while its command runs in a guest."""

    kind: str
    target: str = ""
    seconds: float = 0.0
    verbs: tuple[tuple[str, str], ...] = ()
    """For ``clients``: (verb, VM) of each of them, in order."""

    def __str__(self) -> str:
        words = [self.kind, self.target, f"{self.seconds:.1f} s" if self.seconds else ""]
        return " ".join(word for word in [*words, *(f"{v}:{t}" for v, t in self.verbs)] if word)


WEIGHTS = {
    "kill service": 24,
    "stop service": 8,
    "kill launcher": 4,
    "stop launcher": 2,
    "kill supervisor": 16,
    "stop supervisor": 7,
    "kill spare": 3,
    "kill master": 6,
    "stop master": 4,
    "kill vmm": 3,
    "stop vmm": 4,
    "truncate handle": 8,
    "truncate both handles": 4,
    "fill disk": 3,
    "lock store": 5,
    "clients": 12,
    "flood guest": 4,
    "suspend guest": 8,
    "restore guest": 8,
    "fork guest": 6,
    "drop exec": 4,
    "drop run": 2,
    "vanish run": 2,
    "second stack": 3,
}


class Plan:
    """An endless sequence of steps of one to three faults at once."""

    def __init__(self, seed: int, vms: tuple[str, ...]) -> None:
        self._random = random.Random(seed)
        self._vms = vms
        self._recent: deque[list[str]] = deque(maxlen=REMEMBERED)

    def step(self) -> list[Fault]:
        faults: list[Fault] = []
        ended: list[str] = []
        self._recent.append(ended)
        for _ in range(self._random.choices((1, 2, 3), (5, 3, 2))[0]):
            fault = self._fault()
            if fault.kind.startswith("kill ") and not self._may_end(fault.target):
                continue
            # The same thing twice at one moment is one thing.
            if any((other.kind, other.target) == (fault.kind, fault.target) for other in faults):
                continue
            if fault.kind.startswith("kill "):
                ended.append(fault.target)
            faults.append(fault)
        if any(fault.kind == "vanish run" for fault in faults):
            faults = [fault for fault in faults if fault.kind in ALONE]
        return faults or [Fault("lock store", seconds=0.5)]

    def _may_end(self, target: str) -> bool:
        return sum(ended.count(target) for ended in self._recent) < ENDS

    def _fault(self) -> Fault:
        kind = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind == "clients":
            return Fault(kind, verbs=tuple(self._verb() for _ in range(CLIENTS)))
        return Fault(kind, self._target(kind), self._seconds(kind))

    def _target(self, kind: str) -> str:
        what = kind.split()[-1]
        if what == "service":
            return self._random.choice(SERVICES)
        if what in ("supervisor", "master", "vmm", "handle", "handles", "guest", "exec"):
            return self._random.choice(self._vms)
        return what if what in ("launcher", "spare") else ""

    def _seconds(self, kind: str) -> float:
        if kind.startswith("stop ") or kind in ("fill disk", "lock store"):
            return round(self._random.uniform(0.2, 3.0), 1)
        return 0.0

    def _verb(self) -> tuple[str, str]:
        loud = self._random.random() < 0.15
        verb = self._random.choice(LOUD_VERBS if loud else QUIET_VERBS)
        return verb, self._random.choice(self._vms)


def moved(faults: list[Fault]) -> set[str]:
    """The VMs that go on in another VMM after ``faults``."""
    saved = {fault.target for fault in faults if fault.kind in MOVES}
    verbs = (pair for fault in faults for pair in fault.verbs)
    return saved | {vm for verb, vm in verbs if verb == "suspend+resume"}


def rewound(faults: list[Fault]) -> set[str]:
    """The VMs that are brought back to what they were a moment ago."""
    return {fault.target for fault in faults if fault.kind == "restore guest"}


def disturbed(faults: list[Fault]) -> set[str]:
    """The VMs that ``faults`` have a right to end."""
    ended = {fault.target for fault in faults if fault.kind == "kill vmm"}
    verbs = (pair for fault in faults for pair in fault.verbs)
    return ended | {vm for verb, vm in verbs if verb in ENDING_VERBS}
