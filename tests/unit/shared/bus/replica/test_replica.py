"""Transcripts of a replica: events and snapshots as the bus may deliver them."""

from typing import Any

import msgspec

from shared.bus.replica.replica import BUFFERED, Replica, Verdict, Views
from shared.contract.messages.rows import VmChanged, VmDeleted, VmRows
from shared.contract.messages.vm import State, Vm
from tests.example import example_vm

BETA = example_vm(id="bbbbbbbbbbbb", state="created")


def changed(seq: int, state: State, vm_id: str = BETA.id) -> VmChanged:
    return VmChanged(seq=seq, vm=msgspec.structs.replace(BETA, id=vm_id, state=state))


def deleted(seq: int) -> VmDeleted:
    return VmDeleted(seq=seq, id=BETA.id)


def states(replica: Replica) -> dict[str, str]:
    return {vm_id: vm.state for vm_id, vm in replica.vms.items()}


def following(seq: int) -> Replica:
    replica = Replica()
    replica.snapshot(VmRows(seq=seq, vms=[BETA]))
    return replica


def test_events_before_the_snapshot_are_held_and_applied_when_newer() -> None:
    replica = Replica()
    assert replica.event(changed(4, "starting")) is Verdict.HELD
    assert replica.event(changed(5, "running")) is Verdict.HELD
    assert replica.event(changed(6, "stopped")) is Verdict.HELD
    rows = VmRows(seq=5, vms=[msgspec.structs.replace(BETA, state="running")])
    assert replica.snapshot(rows) is Verdict.APPLIED
    assert replica.seq == 6
    assert states(replica) == {BETA.id: "stopped"}


def test_events_follow_each_other() -> None:
    replica = following(1)
    assert replica.event(changed(2, "starting")) is Verdict.APPLIED
    assert replica.event(changed(3, "created", "cccccccccccc")) is Verdict.APPLIED
    assert replica.event(deleted(4)) is Verdict.APPLIED
    assert states(replica) == {"cccccccccccc": "created"}


def test_event_seen_already_changes_nothing() -> None:
    replica = following(5)
    assert replica.event(changed(5, "failed")) is Verdict.OLD
    assert replica.event(changed(3, "failed")) is Verdict.OLD
    assert states(replica) == {BETA.id: "created"}


def test_gap_keeps_the_old_picture_and_asks_for_a_snapshot() -> None:
    replica = following(1)
    assert replica.event(changed(3, "running")) is Verdict.GAP
    assert replica.seq is None
    assert states(replica) == {BETA.id: "created"}
    assert replica.event(changed(4, "stopping")) is Verdict.HELD
    assert replica.snapshot(VmRows(seq=3, vms=[BETA])) is Verdict.APPLIED
    assert states(replica) == {BETA.id: "stopping"}


def test_picture_is_known_from_the_first_snapshot_on() -> None:
    replica = Replica()
    replica.event(changed(2, "running"))
    assert not replica.known
    replica.snapshot(VmRows(seq=2, vms=[]))
    replica.distrust()
    assert replica.known


def test_snapshot_older_than_the_gap_is_not_enough() -> None:
    replica = following(1)
    replica.event(changed(4, "running"))
    replica.event(changed(5, "stopping"))
    assert replica.snapshot(VmRows(seq=2, vms=[BETA])) is Verdict.GAP
    assert replica.snapshot(VmRows(seq=4, vms=[BETA])) is Verdict.APPLIED
    assert (replica.seq, states(replica)) == (5, {BETA.id: "stopping"})


def test_held_events_may_come_in_any_order() -> None:
    replica = Replica()
    replica.event(changed(3, "running"))
    replica.event(changed(2, "starting"))
    assert replica.snapshot(VmRows(seq=1, vms=[BETA])) is Verdict.APPLIED
    assert states(replica) == {BETA.id: "running"}


def test_snapshot_of_another_database_is_believed_though_its_number_is_lower() -> None:
    replica = following(900)
    replica.distrust()
    assert replica.snapshot(VmRows(seq=2, vms=[])) is Verdict.APPLIED
    assert (replica.seq, states(replica)) == (2, {})


def test_after_distrust_events_wait_for_a_snapshot() -> None:
    replica = following(1)
    replica.distrust()
    assert replica.event(changed(2, "running")) is Verdict.HELD
    assert replica.snapshot(VmRows(seq=1, vms=[BETA])) is Verdict.APPLIED
    assert states(replica) == {BETA.id: "running"}


def test_flood_without_a_snapshot_is_bounded_and_noticed() -> None:
    replica = Replica()
    for seq in range(1, BUFFERED + 2):
        replica.event(changed(seq, "running"))
    assert replica.snapshot(VmRows(seq=0, vms=[])) is Verdict.GAP
    assert replica.snapshot(VmRows(seq=BUFFERED + 1, vms=[BETA])) is Verdict.APPLIED


def name_when_running(vm: Vm) -> str | None:
    return vm.name if vm.state == "running" else None


class Watched:
    """A replica with views of its rows, as a service has them."""

    def __init__(self, *vms: Vm) -> None:
        self.replica = Replica()
        self.replica.snapshot(VmRows(seq=0, vms=list(vms)))
        self.views = Views(name_when_running)
        self.seq = 0

    def changes(self, **fields: Any) -> bool:
        """Whether a change of these fields of beta changes its view."""
        self.seq += 1
        row = msgspec.structs.replace(self.replica.vms.get(BETA.id, BETA), **fields)
        assert self.replica.event(VmChanged(seq=self.seq, vm=row)) is Verdict.APPLIED
        return self.differ()

    def differ(self) -> bool:
        return self.views.differ(self.replica.vms.values())


def test_first_look_at_the_rows_is_a_change_even_without_a_vm() -> None:
    assert Watched().differ()
    assert Watched(BETA).differ()


def test_change_of_a_field_that_is_in_no_view_is_none() -> None:
    watched = Watched(BETA)
    watched.differ()
    assert not watched.changes(state="starting")
    assert watched.changes(state="running")
    assert not watched.changes(touched_at="2026-11-28T00:00:00Z")
    assert not watched.changes(vcpu=2, memory_mib=1024, reason="a reason")
    assert watched.changes(name="gamma")
    assert watched.changes(state="stopped")


def test_snapshot_with_the_same_views_is_no_change() -> None:
    running = msgspec.structs.replace(BETA, state="running")
    watched = Watched(running)
    watched.differ()
    touched = msgspec.structs.replace(running, touched_at="2026-11-28T00:00:00Z")
    watched.replica.snapshot(VmRows(seq=9, vms=[touched]))
    assert not watched.differ()


def test_vm_that_comes_or_goes_is_a_change_only_when_it_has_a_view() -> None:
    watched = Watched()
    watched.differ()
    assert not watched.changes(state="created")
    watched.replica.event(VmDeleted(seq=2, id=BETA.id))
    assert not watched.differ()
    watched.seq = 2
    assert watched.changes(state="running")
    watched.replica.event(VmDeleted(seq=4, id=BETA.id))
    assert watched.differ()
