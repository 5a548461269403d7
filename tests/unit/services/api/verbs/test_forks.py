"""VMs made of another one: by ``vm.fork``, and by ``vm.create`` with ``from_vm``."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from services.api.policy import copy_room
from services.api.verbs.forks import numbered
from shared.contract.messages.vm import Publication, Vm
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from tests.example import example_vm
from tests.fakes.saved import save_machine
from tests.fakes.scene import Scene, play, settled
from tests.fakes.supervisor import FakeSupervisor


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_room, "available_memory", lambda: 1 << 40)


def left(scene: Scene, vm: Vm) -> list[str]:
    """What a fork leaves in the directory of the VM that it was made of."""
    directory = scene.paths.vm_state(vm.id) / files.FORKS
    return [path.name for path in directory.iterdir()] if directory.exists() else []


def stopped(paths: Paths, **changes: Any) -> Vm:
    vm = replace(example_vm(state="stopped"), **changes)
    save_machine(paths.vm_state(vm.id) / files.SNAPSHOTS / "one", vm)
    for name in (files.OVERLAY, files.WORK_DISK):
        (paths.vm_state(vm.id) / name).write_bytes(b"disk")
    return vm


def test_a_running_vm_is_forked_into_running_ones(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            port = Publication(host_port=8080, guest_port=80)
            vm = await scene.running(publish=[port], labels={"a": "b"})
            forked = await scene.bus.ask(api.VM_FORK(ref="beta", count=2, labels={"c": "d"}))
            assert [fork.state for fork in forked.vms] == ["running", "running"]
            assert [fork.name for fork in forked.vms] == ["beta-1", "beta-2"]
            assert forked.pause_seconds == 0.1
            assert len({vm.address, *(fork.address for fork in forked.vms)}) == 3
            row = scene.row("beta-1")
            assert (row.origin, row.labels, row.publish) == ("fork of beta", {"c": "d"}, [])
            assert (row.image_id, row.vcpu, row.disk_bytes) == (vm.image_id, vm.vcpu, vm.disk_bytes)
            assert scene.bus.verbs().count("vm machine.save") == 1
            assert scene.row().state == "running"
            assert left(scene, vm) == []

    play(act())


def test_a_stopped_vm_is_forked_into_stopped_ones(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            (fork,) = (await scene.bus.ask(api.VM_FORK(ref="beta", name="web"))).vms
            assert (fork.name, fork.state) == ("web", "stopped")
            assert scene.row("web").state == "stopped"
            assert (paths.vm_state(fork.id) / files.OVERLAY).exists()
            assert "vm machine.start" not in scene.bus.verbs()

    play(act())


def test_a_fork_of_a_snapshot_asks_nothing_of_the_vm(paths: Paths) -> None:
    async def act() -> None:
        vm = stopped(paths)
        async with Scene(paths, vm) as scene:
            asked = api.VM_FORK(ref="beta", snapshot="one", name="web", count=2)
            forked = await scene.bus.ask(asked)
            assert [(fork.name, fork.state) for fork in forked.vms] == [
                ("web-1", "running"), ("web-2", "running"),
            ]  # fmt: skip
            assert scene.row("web-1").origin == "snapshot beta/one"
            assert "vm machine.save" not in scene.bus.verbs()
            assert (paths.vm_state(vm.id) / files.SNAPSHOTS / "one").exists()

    play(act())


@pytest.mark.parametrize("room", ["memory", "disk"])
def test_room_for_all_is_asked_for_before_the_first(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    if room == "memory":
        monkeypatch.setattr(copy_room, "available_memory", lambda: 0)
    else:
        monkeypatch.setattr("shared.host.files.free_bytes", lambda _: 0)

    async def act() -> None:
        async with Scene(paths, vm := stopped(paths)) as scene:
            with pytest.raises(BangerError, match="3 copies") as refused:
                await scene.bus.ask(api.VM_FORK(ref="beta", snapshot="one", count=3))
            assert refused.value.code is Code.NO_SPACE
            assert {"needed"} <= refused.value.details.keys()
            assert list(scene.store.vms.values()) == [vm]

    play(act())


def test_copies_that_run_are_bound_by_processors_and_stopped_ones_are_not(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_room, "COPIES_PER_PROCESSOR", 0)

    async def act() -> None:
        async with Scene(paths, vm := stopped(paths)) as scene:
            await scene.running("run")
            for asked in (api.VM_FORK(ref="beta", snapshot="one"), api.VM_FORK(ref="run")):
                with pytest.raises(BangerError, match="not enough processors") as refused:
                    await scene.bus.ask(asked)
                assert refused.value.code is Code.NO_SPACE
            assert "vm machine.save" not in scene.bus.verbs()
            assert len(scene.store.vms) == 2
            await scene.bus.ask(api.VM_FORK(ref=vm.id, count=2))

    play(act())


def test_a_name_that_is_taken_is_refused_before_the_guest_stands_still(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths), example_vm(id="f" * 12, name="web-2")) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_FORK(ref="beta", name="web", count=3))
            assert refused.value.code is Code.CONFLICT
            assert "vm machine.save" not in scene.bus.verbs()

    play(act())


def failing(name: str) -> Callable[[FakeSupervisor], None]:
    def setup(supervisor: FakeSupervisor) -> None:
        if supervisor.spec.vm.name == name:
            supervisor.failure = BangerError(Code.GUEST_FAILED, f"{name} did not answer")

    return setup


def test_one_that_fails_takes_the_others_with_it(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, vm := stopped(paths)) as scene:
            scene.spare.setup = failing("beta-2")
            with pytest.raises(BangerError, match="beta-2 did not answer"):
                await scene.bus.ask(api.VM_FORK(ref="beta", snapshot="one", count=3))
            assert list(scene.store.vms.values()) == [vm]
            assert [path.name for path in paths.vm_state(vm.id).parent.iterdir()] == [vm.id]

    play(act())


def test_a_fork_that_is_cancelled_is_undone(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            scene.spare.setup = lambda supervisor: setattr(supervisor, "held", asyncio.Event())
            asked = asyncio.ensure_future(scene.bus.ask(api.VM_FORK(ref="beta", count=2)))
            await settled(lambda: scene.bus.verbs().count("vm machine.start") == 2)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert list(scene.store.vms) == [vm.id]
            assert left(scene, vm) == []

    play(act())


def test_a_failed_vm_is_not_forked(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths, state="failed")) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_FORK(ref="beta"))
            assert refused.value.code is Code.CONFLICT

    play(act())


def test_a_vm_is_created_from_another_one(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            shown = await scene.bus.ask(
                api.VM_CREATE(from_vm="beta", name="copy", labels={"a": "b"}, lease="0" * 16)
            )
            assert (shown.vm.name, shown.vm.state) == ("copy", "running")
            assert (shown.vm.origin, shown.vm.lease) == ("fork of beta", "0" * 16)
            assert shown.vm.image_id == vm.image_id
            assert "images image.resolve" not in scene.bus.verbs()

    play(act())


def test_a_copy_that_is_not_to_be_started_is_suspended(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            request = api.VM_CREATE(from_vm="beta", from_snapshot="one", name="copy", start=False)
            shown = await scene.bus.ask(request)
            assert shown.vm.state == "suspended"
            assert shown.vm.origin == "snapshot beta/one"

    play(act())


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"from_snapshot": "one"}, "from_vm is missing"),
        ({"from_vm": "beta", "image": "debian"}, "uses its image"),
        ({"from_vm": "beta", "from_snapshot": "one", "vcpu": 2}, "its sizes"),
        ({"from_vm": "beta", "from_snapshot": "one", "vmm": "qemu"}, "its sizes"),
    ],
)
def test_what_a_copy_cannot_have_is_refused(
    paths: Paths, choice: dict[str, Any], says: str
) -> None:
    async def act() -> None:
        async with Scene(paths, vm := stopped(paths)) as scene:
            with pytest.raises(BangerError, match=says) as refused:
                await scene.bus.ask(api.VM_CREATE(**choice))
            assert refused.value.code is Code.INVALID
            assert list(scene.store.vms.values()) == [vm]

    play(act())


def test_a_guest_is_not_saved_for_a_copy_that_is_refused(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            with pytest.raises(BangerError, match="cannot have another memory") as refused:
                await scene.bus.ask(api.VM_CREATE(from_vm="beta", memory_mib=1024))
            assert refused.value.code is Code.INVALID
            assert "vm machine.save" not in scene.bus.verbs()

    play(act())


def test_a_copy_of_disks_alone_may_be_larger(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, stopped(paths)) as scene:
            shown = await scene.bus.ask(
                api.VM_CREATE(from_vm="beta", name="copy", vcpu=1, disk_bytes=1 << 40)
            )
            assert (shown.vm.state, shown.vm.disk_bytes) == ("running", 1 << 40)

    play(act())


def test_numbers_come_behind_the_name_of_several() -> None:
    assert numbered("web", 1) == ["web"]
    assert numbered("web", 3) == ["web-1", "web-2", "web-3"]
