"""Transcripts of a projection: events and snapshots as the bus may deliver them."""

import msgspec

from shared.bus.replica.replica import BUFFERED, Projection, Verdict
from shared.contract.messages.vm import State, VmChanged, VmDeleted, VmRows
from tests.example import example_vm

BETA = example_vm(id="bbbbbbbbbbbb", state="created")


def changed(seq: int, state: State, vm_id: str = BETA.id) -> VmChanged:
    return VmChanged(seq=seq, vm=msgspec.structs.replace(BETA, id=vm_id, state=state))


def deleted(seq: int) -> VmDeleted:
    return VmDeleted(seq=seq, id=BETA.id)


def states(projection: Projection) -> dict[str, str]:
    return {vm_id: vm.state for vm_id, vm in projection.vms.items()}


def following(seq: int) -> Projection:
    projection = Projection()
    projection.snapshot(VmRows(seq=seq, vms=[BETA]))
    return projection


def test_events_before_the_snapshot_are_held_and_applied_when_newer() -> None:
    projection = Projection()
    assert projection.event(changed(4, "starting")) is Verdict.HELD
    assert projection.event(changed(5, "running")) is Verdict.HELD
    assert projection.event(changed(6, "stopped")) is Verdict.HELD
    rows = VmRows(seq=5, vms=[msgspec.structs.replace(BETA, state="running")])
    assert projection.snapshot(rows) is Verdict.APPLIED
    assert projection.seq == 6
    assert states(projection) == {BETA.id: "stopped"}


def test_events_follow_each_other() -> None:
    projection = following(1)
    assert projection.event(changed(2, "starting")) is Verdict.APPLIED
    assert projection.event(changed(3, "created", "cccccccccccc")) is Verdict.APPLIED
    assert projection.event(deleted(4)) is Verdict.APPLIED
    assert states(projection) == {"cccccccccccc": "created"}


def test_event_seen_already_changes_nothing() -> None:
    projection = following(5)
    assert projection.event(changed(5, "failed")) is Verdict.OLD
    assert projection.event(changed(3, "failed")) is Verdict.OLD
    assert states(projection) == {BETA.id: "created"}


def test_gap_keeps_the_old_picture_and_asks_for_a_snapshot() -> None:
    projection = following(1)
    assert projection.event(changed(3, "running")) is Verdict.GAP
    assert projection.seq is None
    assert states(projection) == {BETA.id: "created"}
    assert projection.event(changed(4, "stopping")) is Verdict.HELD
    assert projection.snapshot(VmRows(seq=3, vms=[BETA])) is Verdict.APPLIED
    assert states(projection) == {BETA.id: "stopping"}


def test_picture_is_known_from_the_first_snapshot_on() -> None:
    projection = Projection()
    projection.event(changed(2, "running"))
    assert not projection.known
    projection.snapshot(VmRows(seq=2, vms=[]))
    projection.distrust()
    assert projection.known


def test_snapshot_older_than_the_gap_is_not_enough() -> None:
    projection = following(1)
    projection.event(changed(4, "running"))
    projection.event(changed(5, "stopping"))
    assert projection.snapshot(VmRows(seq=2, vms=[BETA])) is Verdict.GAP
    assert projection.snapshot(VmRows(seq=4, vms=[BETA])) is Verdict.APPLIED
    assert (projection.seq, states(projection)) == (5, {BETA.id: "stopping"})


def test_held_events_may_come_in_any_order() -> None:
    projection = Projection()
    projection.event(changed(3, "running"))
    projection.event(changed(2, "starting"))
    assert projection.snapshot(VmRows(seq=1, vms=[BETA])) is Verdict.APPLIED
    assert states(projection) == {BETA.id: "running"}


def test_snapshot_of_another_database_is_believed_though_its_number_is_lower() -> None:
    projection = following(900)
    projection.distrust()
    assert projection.snapshot(VmRows(seq=2, vms=[])) is Verdict.APPLIED
    assert (projection.seq, states(projection)) == (2, {})


def test_after_distrust_events_wait_for_a_snapshot() -> None:
    projection = following(1)
    projection.distrust()
    assert projection.event(changed(2, "running")) is Verdict.HELD
    assert projection.snapshot(VmRows(seq=1, vms=[BETA])) is Verdict.APPLIED
    assert states(projection) == {BETA.id: "running"}


def test_flood_without_a_snapshot_is_bounded_and_noticed() -> None:
    projection = Projection()
    for seq in range(1, BUFFERED + 2):
        projection.event(changed(seq, "running"))
    assert projection.snapshot(VmRows(seq=0, vms=[])) is Verdict.GAP
    assert projection.snapshot(VmRows(seq=BUFFERED + 1, vms=[BETA])) is Verdict.APPLIED
