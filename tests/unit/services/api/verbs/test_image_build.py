"""An image is built in a VM that is gone afterwards, or made of one that is stopped."""

import asyncio

import pytest
from msgspec.structs import replace

from shared.contract.messages.image import Image
from shared.contract.verb import Request
from shared.contract.verbs import api, supervisor
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from tests.example import example_vm
from tests.fakes.images import IMAGE
from tests.fakes.scene import Scene, play, settled


def build(**more: object) -> Request[Image]:
    return api.IMAGE_BUILD(file="/c/Dockerfile", syntax="dockerfile", context="/c",
                           **{"as_name": "web", **more})  # type: ignore[arg-type]  # fmt: skip


def test_steps_are_run_in_a_vm_whose_layer_becomes_the_image(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            image = await scene.bus.ask(build(nat=True))
            assert image.name == "web"
            assert scene.builds.ran == [2, 3, 4]
            # The disks are kept after steps that take time, while the VM is paused.
            assert scene.builds.kept == [f"{1:064x}", f"{3:064x}"]
            asked = [words.rpartition(" ")[2] for words in scene.bus.verbs()]
            assert asked.count(supervisor.PAUSE.name) == asked.count(supervisor.RESUME.name) == 2
            (captured,) = scene.builds.captured
            assert (captured.base, captured.name, captured.key) == (IMAGE.id, "web", "f" * 64)
            assert asked.index("vm.stop") < asked.index("image.capture")
            assert scene.store.vms == {}

    play(act())


def test_what_was_built_from_the_same_file_needs_no_vm(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.builds.plan = replace(scene.builds.plan, made=IMAGE)
            assert (await scene.bus.ask(build())).name == "web"
            assert "api vm.create" not in scene.bus.verbs()

    play(act())


@pytest.mark.parametrize(("has_kept", "ran"), [(True, [4]), (False, [2, 3, 4])])
def test_steps_whose_disks_are_kept_are_not_run_again(
    paths: Paths, has_kept: bool, ran: list[int]
) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.builds.plan = replace(scene.builds.plan, cached=2)
            scene.builds.has_kept = has_kept
            await scene.bus.ask(build())
            assert scene.builds.ran == ran

    play(act())


def test_of_a_build_that_fails_nothing_is_left(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.builds.failing = 4
            with pytest.raises(BangerError, match="it failed"):
                await scene.bus.ask(build())
            assert scene.builds.captured == []
            assert scene.store.vms == {}
            assert scene.builds.kept == [f"{1:064x}"]

    play(act())


def test_of_a_build_that_is_cancelled_nothing_is_left(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.builds.held = asyncio.Event()
            building = asyncio.create_task(scene.bus.ask(build()))
            await settled(lambda: scene.builds.ran)
            building.cancel()
            with pytest.raises((BangerError, asyncio.CancelledError)):
                await building
            await settled(lambda: not scene.store.vms)
            assert scene.builds.captured == []

    play(act())


def test_a_build_needs_a_name_that_no_other_kind_of_image_has(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            with pytest.raises(BangerError, match="gives the image no name"):
                await scene.bus.ask(build(as_name=""))
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(build(as_name="debian-bookworm"))
            assert refused.value.code is Code.CONFLICT
            assert scene.builds.ran == []

    play(act())


def test_the_base_is_not_deleted_under_a_build(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.builds.held = asyncio.Event()
            building = asyncio.create_task(scene.bus.ask(build()))
            await settled(lambda: scene.builds.ran)
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.IMAGE_DELETE(ref="debian-bookworm"))
            assert refused.value.code is Code.CONFLICT
            scene.builds.held.set()
            await building

    play(act())


def test_a_stopped_vm_is_committed(paths: Paths) -> None:
    async def act() -> None:
        vm = example_vm(name="db", state="stopped", image_id=IMAGE.id)
        async with Scene(paths, vm) as scene:
            await scene.bus.ask(api.VM_COMMIT(ref="db", name="db-ready", work_seed=True))
            (captured,) = scene.builds.captured
            assert (captured.vm_id, captured.base, captured.name) == (vm.id, IMAGE.id, "db-ready")
            assert captured.work_seed
            assert (captured.origin.kind, captured.origin.reference) == ("commit", "db")

    play(act())


def test_a_vm_that_runs_is_not_committed(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running("db")
            with pytest.raises(BangerError, match="db is running") as refused:
                await scene.bus.ask(api.VM_COMMIT(ref="db", name="db-ready"))
            assert refused.value.code is Code.CONFLICT
            assert refused.value.hint == "stop it first: banger vm stop db"
            assert scene.builds.captured == []

    play(act())


def test_a_suspended_vm_is_not_committed_without_its_memory(paths: Paths) -> None:
    async def act() -> None:
        vm = example_vm(name="db", state="suspended")
        memory = paths.vm_state(vm.id) / files.SUSPENDED / files.MEMORY
        memory.parent.mkdir(parents=True)
        memory.touch()
        async with Scene(paths, vm) as scene:
            with pytest.raises(BangerError, match="db is suspended") as refused:
                await scene.bus.ask(api.VM_COMMIT(ref="db", name="db-ready"))
            assert refused.value.hint == "resume and stop it first: banger vm resume db"
            assert scene.builds.captured == []

    play(act())


def test_a_name_that_another_image_has_is_not_committed_to(paths: Paths) -> None:
    async def act() -> None:
        vm = example_vm(name="db", state="stopped")
        async with Scene(paths, vm) as scene:
            with pytest.raises(BangerError, match="there is an image debian-bookworm already"):
                await scene.bus.ask(api.VM_COMMIT(ref="db", name="debian-bookworm"))

    play(act())
