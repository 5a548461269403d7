"""``vm.create``: what is asked of whom, and what is left when it fails."""

import asyncio
import os
import signal
from typing import Any

import pytest
from msgspec.structs import replace

from services.api.creation.reservation import undo
from services.api.machines import control
from services.api.verbs import create
from services.api.verbs.create import CreateVerbs
from shared.contract.messages.guest_run import CommandWish, GuestRun
from shared.contract.messages.image import ImageConfig
from shared.contract.messages.machine import SystemState
from shared.contract.messages.rows import VmReserve
from shared.contract.messages.vm import Publication
from shared.contract.messages.vm_request import VmCreate
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.example import example_vm
from tests.fakes.bus import FakeCall
from tests.fakes.images import IMAGE, KERNEL
from tests.fakes.scene import SMALL, Scene, play, settled
from tests.fakes.supervisor import FakeSupervisor
from tests.unit.services.api.conftest import program

PORT = Publication(host_port=8080, guest_port=80)
REFUSED = BangerError(Code.GUEST_FAILED, "it panicked", hint="see the console")


def test_a_vm_is_made_and_booted_with_one_question_to_each(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            shown = await scene.bus.ask(api.VM_CREATE(**SMALL))
            assert (shown.vm.state, shown.vm.touched_at != "") == ("running", True)
            assert shown.access
            assert scene.bus.verbs() == [
                "api vm.create",
                "images image.resolve",
                "images kernel.resolve",
                "store vm.reserve",
                "api supervisor.ready",
                "vm machine.start",
                "store vm.update",
            ]
            assert scene.row(shown.vm.name) == shown.vm

    play(act())


def test_what_is_run_in_it_is_what_the_image_makes_of_it(paths: Paths) -> None:
    async def act() -> None:
        config = ImageConfig(entrypoint=["/e"], cmd=["c"], env={"a b": ""}, exposed=["80/tcp"])
        async with Scene(paths) as scene:
            scene.images.images = [replace(IMAGE, config=config)]
            shown = await scene.bus.ask(api.VM_CREATE(**SMALL, command=CommandWish()))
            assert shown.command == GuestRun(argv=["/e", "c"])
            assert shown.exposed == ["80/tcp"]
            assert shown.notices == [
                "variables of debian-bookworm are left out, "
                "because no shell accepts their names: a b"
            ]
            assert (await scene.bus.ask(api.VM_CREATE(**SMALL))).command is None
            assert "images image.show" not in scene.bus.verbs()

    play(act())


def test_a_new_vm_lives_and_dies_without_a_search_for_its_vmm(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []
    monkeypatch.setattr("services.api.machines.vm_view.find_vmm", searched.append)

    async def act() -> None:
        async with Scene(paths) as scene:
            shown = await scene.bus.ask(api.VM_CREATE(**SMALL))
            assert not scene.supervisor().spec.ran_before
            await scene.bus.ask(api.VM_DELETE(ref=shown.vm.id))
            assert searched == []

    play(act())


def test_what_was_chosen_is_reserved_and_defaults_fill_the_rest(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            chosen: dict[str, Any] = {"nat": True, "publish": [PORT], "start": False}
            shown = await scene.bus.ask(api.VM_CREATE(name="web", vcpu=1, vmm="qemu", **chosen))
            vm = shown.vm
            assert (vm.name, vm.state, vm.touched_at, vm.vmm) == ("web", "created", "", "qemu")
            assert (vm.vcpu, vm.nat, vm.allow, vm.publish) == (1, True, [], [PORT])
            assert (vm.image_id, vm.image_name, vm.kernel_id) == (IMAGE.id, IMAGE.name, KERNEL.id)
            assert vm.disk_bytes == vm.overlay_bytes == 8 << 30
            assert scene.spare.given == []

    play(act())


def test_names_are_offered_where_none_was_given(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.bus.ask(api.VM_CREATE(**SMALL, start=False))
            (reservation,) = (body for _, body in scene.bus.asked if isinstance(body, VmReserve))
            assert len(set(reservation.names)) > 10

    play(act())


@pytest.mark.parametrize("taken", [{"name": "web"}, {"publish": [PORT]}])
def test_what_another_vm_has_is_refused_before_an_image_is_built(
    paths: Paths, taken: dict[str, Any]
) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(name="web", publish=[PORT])) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_CREATE(**SMALL, **taken))
            assert refused.value.code is Code.CONFLICT
            assert scene.bus.verbs() == ["api vm.create", "store vm.check"]

    play(act())


def test_a_request_that_is_sent_again_gives_the_vm_that_it_made(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            verbs, request = CreateVerbs(scene.context), bytes(range(16))
            create = VmCreate(name="web", publish=[PORT], start=False, **SMALL)
            first = await verbs.create(create, FakeCall(request_id=request))
            again = await verbs.create(create, FakeCall(request_id=request))
            assert again.vm == first.vm
            assert len(scene.store.vms) == 1

    play(act())


def test_a_creation_that_a_crash_interrupted_is_booted_when_it_is_asked_for_again(
    paths: Paths,
) -> None:
    """Its row says ``starting``, and nothing runs: so the supervisor has to say it again."""

    async def act() -> None:
        async with Scene(paths) as scene:
            verbs, request = CreateVerbs(scene.context), bytes(range(16))
            create = VmCreate(name="web", **SMALL)
            scene.context.stopping.set()
            scene.spare.setup = lambda given: setattr(given, "held", asyncio.Event())
            making = asyncio.ensure_future(verbs.create(create, FakeCall(request_id=request)))
            await settled(lambda: "vm machine.start" in scene.bus.verbs())
            making.cancel()
            scene.supervisor().on_end()
            await settled(lambda: not scene.context.supervisors.knows(scene.row("web").id))
            scene.store.vms[scene.row("web").id].state = "starting"
            scene.spare.setup = lambda given: None
            again = await verbs.create(create, FakeCall(request_id=request))
            assert again.vm.state == "running"
            told = [(given.spec.vm.state, given.spec.ran_before) for given in scene.spare.given]
            assert told == [("starting", False), ("stopped", True)]

    play(act())


def test_an_image_is_held_until_the_row_names_it(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.images.pulling = asyncio.Event()
            making = asyncio.ensure_future(scene.bus.ask(api.VM_CREATE(name="web", **SMALL)))
            await settled(lambda: "images kernel.resolve" in scene.bus.verbs())
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.IMAGE_DELETE(ref="deb"))
            assert refused.value.message == "image debian-bookworm is in use, to create web"
            scene.images.pulling.set()
            await making
            with pytest.raises(BangerError):
                await scene.bus.ask(api.IMAGE_DELETE(ref="deb"))
            await scene.bus.ask(api.VM_DELETE(ref="web"))
            await scene.bus.ask(api.IMAGE_DELETE(ref="deb"))

    play(act())


def test_the_kernel_that_an_image_wants_is_what_the_vm_boots(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.images.images = [replace(IMAGE, kernel="mine")]
            mine = replace(KERNEL, id="1" * 16, name="mine")
            scene.images.kernels = [KERNEL, mine]
            shown = await scene.bus.ask(api.VM_CREATE(**SMALL))
            assert shown.vm.kernel_id == mine.id

    play(act())


def test_a_full_disk_is_refused_before_anything_is_asked(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        monkeypatch.setattr(create, "FIRST_BOOT_BYTES", 1 << 60)
        async with Scene(paths) as scene:
            with pytest.raises(BangerError, match=r"a VM needs .* is free") as refused:
                await scene.bus.ask(api.VM_CREATE(**SMALL))
            assert refused.value.code is Code.NO_SPACE
            assert scene.bus.verbs() == ["api vm.create"]

    play(act())


def fail(*, ran: bool) -> Any:
    def setup(supervisor: FakeSupervisor) -> None:
        supervisor.failure, supervisor.ran = REFUSED, ran

    return setup


def test_a_vm_whose_vmm_never_ran_leaves_nothing(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.spare.setup = fail(ran=False)
            with pytest.raises(BangerError, match="it panicked") as refused:
                await scene.bus.ask(api.VM_CREATE(name="web", **SMALL))
            assert "kept" not in refused.value.details
            assert scene.store.vms == {}
            assert list((paths.run / "vms").iterdir()) == []

    play(act())


def test_a_vm_that_failed_to_boot_is_kept_and_said_so(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.spare.setup = fail(ran=True)
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_CREATE(name="web", **SMALL))
            assert refused.value.details == {"kept": "web"}
            assert refused.value.hint == "see the console; delete it with: banger vm delete web"
            assert scene.row("web").state == "failed"

    play(act())


def test_a_vm_whose_system_does_not_come_up_is_kept(paths: Paths) -> None:
    def setup(supervisor: FakeSupervisor) -> None:
        supervisor.system = SystemState(state="maintenance")

    async def act() -> None:
        async with Scene(paths) as scene:
            scene.spare.setup = setup
            with pytest.raises(BangerError, match="maintenance") as refused:
                await scene.bus.ask(api.VM_CREATE(name="web", wait="system", **SMALL))
            assert refused.value.details == {"kept": "web"}
            assert scene.row("web").state == "running"

    play(act())


@pytest.mark.parametrize("stopping", [False, True])
def test_a_cancelled_creation_is_undone_unless_the_api_stops(paths: Paths, stopping: bool) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.spare.setup = lambda supervisor: setattr(supervisor, "held", asyncio.Event())
            making = asyncio.ensure_future(
                CreateVerbs(scene.context).create(VmCreate(name="web", **SMALL), FakeCall())
            )
            await settled(lambda: "vm machine.start" in scene.bus.verbs())
            if stopping:
                scene.context.stopping.set()
            making.cancel()
            with pytest.raises(asyncio.CancelledError):
                await making
            assert [vm.name for vm in scene.store.vms.values()] == (["web"] if stopping else [])
            (operation,) = scene.context.operations.list()
            assert (operation.verb, operation.state) == ("vm.create", "cancelled")

    play(act())


def test_a_vmm_that_cannot_be_ended_keeps_its_disks_and_its_row(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = example_vm(id=os.urandom(6).hex(), state="starting")

    def refuse(*_: object) -> None:
        raise PermissionError

    async def act() -> None:
        async with Scene(paths, vm) as scene:
            scene.bus.troubles["nat nat.unjail"].append(BangerError(Code.DENIED, "no"))
            paths.vm_run(vm.id).mkdir(parents=True)
            paths.vm_state(vm.id).mkdir(parents=True)
            assert await undo(scene.context, vm) == ["no"]
            assert scene.bus.verbs() == ["nat nat.unjail"]
            assert paths.vm_state(vm.id).exists()

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    monkeypatch.setattr(control, "SUCCESSOR_SECONDS", 0.0)
    vmm = "print('up', flush=True); import sys; sys.stdin.read()"
    with program(vmm, "-name", f"banger-{vm.id}") as process:
        play(act())
        os.kill(process.pid, 0)
