"""Snapshots: created, listed, shown, restored and deleted, and what is refused before anything."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shared.contract.messages.vm import Vm
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from tests.example import example_vm
from tests.fakes.saved import save_machine
from tests.fakes.scene import Scene, play, settled


def snapshots_of(paths: Paths, vm: Vm) -> Path:
    return paths.vm_state(vm.id) / files.SNAPSHOTS


def stopped(paths: Paths, **changes: Any) -> Vm:
    """A VM with disks of long ago and a snapshot ``one`` of it."""
    vm = example_vm(state="stopped")
    save_machine(snapshots_of(paths, vm) / "one", vm, **changes)
    for name in (files.OVERLAY, files.WORK_DISK):
        (paths.vm_state(vm.id) / name).write_bytes(b"disk")
        os.utime(paths.vm_state(vm.id) / name, (0, 0))
    return vm


def test_a_snapshot_of_a_running_vm_has_its_memory(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            made = await scene.bus.ask(api.SNAPSHOT_CREATE(ref="beta", name="one"))
            assert (made.vm_id, made.name, made.memory, made.vmm) == (vm.id, "one", True, "qemu")
            assert made.pause_seconds == 0.1
            assert scene.row().state == "running"
            assert scene.bus.verbs() == [
                "api snapshot.create", "store vm.get", "vm machine.save",
            ]  # fmt: skip
            (operation,) = scene.context.operations.list()[1:]
            assert (operation.verb, operation.state) == ("snapshot.create", "done")

    play(act())


def test_a_snapshot_of_a_stopped_vm_has_only_its_disks(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            made = await scene.bus.ask(api.SNAPSHOT_CREATE(ref="beta", name="two"))
            assert (made.memory, made.vmm) == (False, "")
            assert scene.row().state == "stopped"

    play(act())


def test_a_snapshot_without_a_name_is_called_by_the_time(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            names = {(await scene.bus.ask(api.SNAPSHOT_CREATE(ref="beta"))).name for _ in range(3)}
            assert len(names) == 3
            assert all(name.startswith("20") for name in names)

    play(act())


@pytest.mark.parametrize("name", ["", "../x", ".banger-new-x", "Ä", "a/b", "a" * 64])
def test_a_name_that_is_none_is_refused(paths: Paths, name: str) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.SNAPSHOT_CREATE(ref="beta", name=name))
            assert refused.value.code is Code.INVALID
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.SNAPSHOT_RESTORE(ref="beta", name=name))
            assert refused.value.code is Code.NOT_FOUND

    play(act())


def test_a_name_that_is_taken_is_refused_before_the_guest_stands_still(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            with pytest.raises(BangerError, match="already has a snapshot one") as refused:
                await scene.bus.ask(api.SNAPSHOT_CREATE(ref="beta", name="one"))
            assert refused.value.code is Code.CONFLICT
            assert "vm machine.save" not in scene.bus.verbs()

    play(act())


def test_a_snapshot_that_cannot_be_made_leaves_none(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.supervisor().failure = BangerError(Code.NO_SPACE, "the disk is full")
            with pytest.raises(BangerError, match="the disk is full"):
                await scene.bus.ask(api.SNAPSHOT_CREATE(ref="beta", name="one"))
            assert (await scene.bus.ask(api.SNAPSHOT_LIST(ref="beta"))).snapshots == []
            assert scene.row().state == "running"

    play(act())


def test_a_snapshot_that_a_killed_supervisor_had_made_is_there(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            scene.bus.troubles["vm machine.save"].append(BangerError(Code.UNAVAILABLE, "killed"))
            asked = asyncio.ensure_future(
                scene.bus.ask(api.SNAPSHOT_CREATE(ref="beta", name="one"))
            )
            await settled(lambda: "vm machine.save" in scene.bus.verbs())
            save_machine(snapshots_of(paths, vm) / "one", vm)
            assert (await asked).name == "one"

    play(act())


def test_snapshots_of_all_vms_are_listed_the_oldest_first(paths: Paths) -> None:
    async def act() -> None:
        vm, other = stopped(paths), replace(example_vm(), id="f" * 12, name="other")
        save_machine(snapshots_of(paths, vm) / "older", vm, created="2026-11-28T00:00:00.000Z")
        save_machine(snapshots_of(paths, other) / "last", other, created="2026-11-30T00:00:00.000Z")
        async with Scene(paths, vm, other) as scene:
            listed = (await scene.bus.ask(api.SNAPSHOT_LIST())).snapshots
            assert [each.name for each in listed] == ["older", "one", "last"]
            listed = (await scene.bus.ask(api.SNAPSHOT_LIST(ref="other"))).snapshots
            assert [(each.vm_name, each.name) for each in listed] == [("other", "last")]

    play(act())


def test_a_damaged_snapshot_is_shown_with_what_is_wrong_with_it(paths: Paths) -> None:
    async def act() -> None:
        vm = stopped(paths)
        (snapshots_of(paths, vm) / "one" / files.MEMORY).write_bytes(b"yromem")
        (snapshots_of(paths, vm) / "empty").mkdir()
        async with Scene(paths, vm) as scene:
            shown = await scene.bus.ask(api.SNAPSHOT_SHOW(ref="beta", name="one"))
            assert "the content of memory has changed" in shown.problems[0]
            listed = (await scene.bus.ask(api.SNAPSHOT_LIST())).snapshots
            told = {each.name: each.problems for each in listed}
            assert "saved.json is missing" in told["empty"][0]
            (only,) = told["one"]
            assert "it cannot be restored because" in only, "this scene has no image"

    play(act())


def test_a_stopped_vm_that_has_not_run_since_is_restored_at_once(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            shown = await scene.bus.ask(api.SNAPSHOT_RESTORE(ref="beta", name="one"))
            assert shown.vm.state == scene.row().state == "running"

    play(act())


def test_a_snapshot_of_disks_alone_leaves_the_vm_stopped(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths, memory=False)) as scene:
            shown = await scene.bus.ask(api.SNAPSHOT_RESTORE(ref="beta", name="one"))
            assert shown.vm.state == scene.row().state == "stopped"

    play(act())


def test_of_a_snapshot_with_memory_the_disks_may_be_restored_alone(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            restore = api.SNAPSHOT_RESTORE(ref="beta", name="one", memory=False)
            shown = await scene.bus.ask(restore)
            assert shown.vm.state == scene.row().state == "stopped"
            assert "vm machine.start" not in scene.bus.verbs()

    play(act())


def test_what_would_be_lost_is_said_and_then_taken(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            await scene.bus.ask(api.SNAPSHOT_CREATE(ref="beta", name="one"))
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.SNAPSHOT_RESTORE(ref="beta", name="one"))
            assert refused.value.code is Code.CONFLICT
            assert len(refused.value.details["lost"]) == 2
            assert "vm machine.restore" not in scene.bus.verbs()
            shown = await scene.bus.ask(api.SNAPSHOT_RESTORE(ref="beta", name="one", force=True))
            assert shown.vm.state == "running"
            assert len(scene.spare.given) == 2

    play(act())


def test_disks_that_were_written_to_since_are_a_loss(paths: Paths) -> None:
    async def act() -> None:
        vm = stopped(paths)
        os.utime(paths.vm_state(vm.id) / files.OVERLAY, (4e9, 4e9))
        async with Scene(paths, vm) as scene:
            with pytest.raises(BangerError, match="changes to its disks"):
                await scene.bus.ask(api.SNAPSHOT_RESTORE(ref="beta", name="one"))

    play(act())


def test_a_restore_gives_the_vm_the_sizes_of_the_snapshot(paths: Paths) -> None:
    async def act() -> None:
        vm = stopped(paths)
        async with Scene(paths, replace(vm, vcpu=vm.vcpu + 1, disk_bytes=1 << 33)) as scene:
            await scene.bus.ask(api.SNAPSHOT_RESTORE(ref="beta", name="one"))
            assert (scene.row().vcpu, scene.row().disk_bytes) == (vm.vcpu, vm.disk_bytes)

    play(act())


def test_a_restore_that_is_refused_changes_nothing(paths: Paths) -> None:
    async def act() -> None:
        vm = replace(stopped(paths), vcpu=3)
        async with Scene(paths, vm) as scene:
            trouble = BangerError(Code.INCOMPATIBLE, "it was saved by qemu 9.0, and 7.2 is here")
            scene.spare.setup = lambda supervisor: setattr(supervisor, "failure", trouble)
            with pytest.raises(BangerError, match=r"saved by qemu 9\.0"):
                await scene.bus.ask(api.SNAPSHOT_RESTORE(ref="beta", name="one"))
            assert scene.row() == vm

    play(act())


def test_two_restores_at_once_come_one_after_the_other(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            restore = api.SNAPSHOT_RESTORE(ref="beta", name="one", force=True)
            shown = await asyncio.gather(*(scene.bus.ask(restore) for _ in range(2)))
            assert [each.vm.state for each in shown] == ["running", "running"]
            assert scene.row().state == "running"

    play(act())


def test_a_snapshot_is_not_deleted_while_it_is_restored(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            held = asyncio.Event()
            scene.spare.setup = lambda supervisor: setattr(supervisor, "held", held)
            restoring = asyncio.ensure_future(
                scene.bus.ask(api.SNAPSHOT_RESTORE(ref="beta", name="one"))
            )
            await settled(lambda: "vm machine.restore" in scene.bus.verbs())
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.SNAPSHOT_DELETE(ref="beta", names=["one"]))
            assert refused.value.code is Code.CONFLICT
            held.set()
            await restoring

    play(act())


def test_all_snapshots_are_deleted_or_none(paths: Paths) -> None:
    async def act() -> None:
        vm = stopped(paths)
        save_machine(snapshots_of(paths, vm) / "two", vm)
        async with Scene(paths, vm) as scene:
            with pytest.raises(BangerError, match="no snapshot 'three'") as refused:
                await scene.bus.ask(api.SNAPSHOT_DELETE(ref="beta", names=["one", "three"]))
            assert refused.value.code is Code.NOT_FOUND
            asked = api.SNAPSHOT_DELETE(ref="beta", names=["two", "one", "two"])
            deleted = await scene.bus.ask(asked)
            assert deleted.deleted == ["two", "one"]
            assert deleted.real_bytes > 0
            assert list(snapshots_of(paths, vm).iterdir()) == []

    play(act())


def test_the_number_of_snapshots_is_shown_before_a_delete(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            assert (await scene.bus.ask(api.VM_SHOW(ref="beta"))).snapshots == 1
            (prunable,) = (await scene.bus.ask(api.VM_PRUNABLE())).vms
            assert prunable.snapshots == 1
            assert (await scene.bus.ask(api.VM_STATS(ref="beta"))).saved_bytes > 0

    play(act())
