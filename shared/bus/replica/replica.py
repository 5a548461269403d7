"""A copy of the store's VMs, kept true by events: subscribe, snapshot, apply, resync on a gap.

``Projection`` is the pure core of docs/protocol.md section 5: events and snapshots in, a verdict
out. ``follow`` is the loop around it that nat and dns share.
"""

from dataclasses import dataclass
from enum import Enum, auto

from shared.contract.messages.vm import Vm, VmChanged, VmDeleted, VmRows

BUFFERED = 10_000
"""Events held while a snapshot is awaited; more than that and the snapshot is taken again."""


class Verdict(Enum):
    """What an event did to the projection."""

    HELD = auto()  # kept until the snapshot that was asked for is here
    OLD = auto()  # known already
    APPLIED = auto()
    GAP = auto()  # an event was lost: a new snapshot is needed


Event = VmChanged | VmDeleted


@dataclass
class _Awaiting:
    """No snapshot yet, or none that can be trusted: events are kept for the one to come."""

    held: list[Event]


@dataclass
class _Current:
    seq: int


class Projection:
    """The VMs as of one sequence number. It starts without a snapshot and asks for one."""

    def __init__(self) -> None:
        self._phase: _Awaiting | _Current = _Awaiting([])
        self._vms: dict[str, Vm] = {}
        self._known = False

    @property
    def known(self) -> bool:
        """Whether there ever was a snapshot. Before that, an empty ``vms`` means nothing: who
        removes what is not in it must wait."""
        return self._known

    @property
    def vms(self) -> dict[str, Vm]:
        """By id. While a new snapshot is awaited: as they were last known."""
        return self._vms

    @property
    def seq(self) -> int | None:
        """The last change that is in ``vms``; None while a snapshot is awaited."""
        return self._phase.seq if isinstance(self._phase, _Current) else None

    def event(self, event: Event) -> Verdict:
        """Take in one event. After ``GAP`` everything is held until the next snapshot."""
        match self._phase:
            case _Awaiting(held):
                if len(held) >= BUFFERED:
                    held.clear()  # the snapshot will show the hole these leave
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
        lower number than before is believed: the store's database is another one now.
        """
        held = self._phase.held if isinstance(self._phase, _Awaiting) else []
        self._vms = {vm.id: vm for vm in rows.vms}
        self._phase = _Current(rows.seq)
        self._known = True
        verdicts = [self.event(event) for event in sorted(held, key=lambda e: e.seq)]
        return Verdict.GAP if Verdict.GAP in verdicts else Verdict.APPLIED

    def distrust(self) -> None:
        """Events may have been lost (a new connection): hold what comes until a snapshot."""
        if isinstance(self._phase, _Current):
            self._phase = _Awaiting([])

    def _apply(self, event: Event) -> None:
        if isinstance(event, VmChanged):
            self._vms[event.vm.id] = event.vm
        else:
            self._vms.pop(event.id, None)
        self._phase = _Current(event.seq)
