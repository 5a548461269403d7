"""A copy of the store's VMs, kept current by events: subscribe, snapshot, apply, resync on a gap.

Pure: docs/protocol.md section 5 as a state machine. Events and snapshots go in, a verdict comes
out. ``follower.py`` connects it to the bus.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from shared.contract.messages.rows import VmChanged, VmDeleted, VmRows
from shared.contract.messages.vm import Vm

BUFFERED = 10_000
"""Events held while a snapshot is awaited. If more arrive, another snapshot is needed."""

View = TypeVar("View")


class Verdict(Enum):
    """What an event did to the replica."""

    HELD = auto()  # kept until the requested snapshot arrives
    OLD = auto()  # already known
    APPLIED = auto()
    GAP = auto()  # an event was lost: a new snapshot is needed


Event = VmChanged | VmDeleted


@dataclass
class _Awaiting:
    """There is no snapshot, or none that can be trusted: events are kept for the next one."""

    held: list[Event]


@dataclass
class _Current:
    seq: int


class Replica:
    """The VMs as of one sequence number. It starts without a snapshot and needs one."""

    def __init__(self) -> None:
        self._phase: _Awaiting | _Current = _Awaiting([])
        self._vms: dict[str, Vm] = {}
        self._known = False

    @property
    def known(self) -> bool:
        """Whether there ever was a snapshot. Before that, an empty ``vms`` means nothing, and
        nobody may remove what is not in it."""
        return self._known

    @property
    def vms(self) -> dict[str, Vm]:
        """By id. While a new snapshot is awaited: as they were last known."""
        return self._vms

    @property
    def seq(self) -> int | None:
        """The number of the last change in ``vms``; None while a snapshot is awaited."""
        return self._phase.seq if isinstance(self._phase, _Current) else None

    def event(self, event: Event) -> Verdict:
        """Apply one event. After ``GAP`` every event is held until the next snapshot."""
        match self._phase:
            case _Awaiting(held):
                if len(held) >= BUFFERED:
                    held.clear()  # the next snapshot notices the gap that these leave
                held.append(event)
                return Verdict.HELD
            case _Current(seq) if event.seq <= seq:
                return Verdict.OLD
            case _Current(seq) if event.seq == seq + 1:
                self._apply(event)
                return Verdict.APPLIED
            case _:
                self._phase = _Awaiting([event])
                return Verdict.GAP

    def snapshot(self, rows: VmRows) -> Verdict:
        """Replace everything by ``rows``, then apply the held events that are newer.

        ``GAP`` when one of those is missing: then another snapshot is needed. A snapshot with a
        lower number than before is accepted, because the store may have another database now.
        """
        held = self._phase.held if isinstance(self._phase, _Awaiting) else []
        self._vms = {vm.id: vm for vm in rows.vms}
        self._phase = _Current(rows.seq)
        self._known = True
        verdicts = [self.event(event) for event in sorted(held, key=lambda e: e.seq)]
        return Verdict.GAP if Verdict.GAP in verdicts else Verdict.APPLIED

    def distrust(self) -> None:
        """Hold events until the next snapshot: some may have been lost (a new connection)."""
        if isinstance(self._phase, _Current):
            self._phase = _Awaiting([])

    def _apply(self, event: Event) -> None:
        if isinstance(event, VmChanged):
            self._vms[event.vm.id] = event.vm
        else:
            self._vms.pop(event.id, None)
        self._phase = _Current(event.seq)


class Views(Generic[View]):
    """What one service uses of the rows, and whether that has changed.

    ``view`` takes from a row the fields that the service uses, as a value to compare; None for a
    VM that does not concern it. A row changes with every use of its VM, a view rarely does.
    """

    def __init__(self, view: Callable[[Vm], View | None]) -> None:
        self._view = view
        self._last: dict[str, View] | None = None

    def differ(self, vms: Iterable[Vm]) -> bool:
        """Whether the views of ``vms`` differ from those of the last call. The first call is
        True, with no VM too."""
        views = {vm.id: view for vm in vms if (view := self._view(vm)) is not None}
        changed = views != self._last
        self._last = views
        return changed
