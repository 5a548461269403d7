"""An image or a kernel is not deleted under a VM."""

from typing import Any

import pytest

from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from tests.example import example_vm
from tests.fakes.images import IMAGE, KERNEL
from tests.fakes.scene import Scene, play

KINDS = [("image", api.IMAGE_DELETE), ("kernel", api.KERNEL_DELETE)]
USED = {"image_id": IMAGE.id, "kernel_id": KERNEL.id}


@pytest.mark.parametrize(("kind", "verb"), KINDS)
def test_what_a_vm_boots_from_stays_and_the_vms_are_named(
    paths: Paths, kind: str, verb: Any
) -> None:
    async def act() -> None:
        vms = [example_vm(id=name, name=name, **USED) for name in ("web", "db")]
        async with Scene(paths, *vms) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(verb(ref="deb"))
            assert refused.value.code is Code.CONFLICT
            assert refused.value.message == f"{kind} debian-bookworm is used by web, db"
            assert refused.value.details == {"vms": ["web", "db"]}
            assert refused.value.hint == "delete what uses it: banger vm delete web db"
            assert (scene.images.images, scene.images.kernels) == ([IMAGE], [KERNEL])

    play(act())


@pytest.mark.parametrize(("kind", "verb"), KINDS)
def test_what_a_creation_under_way_has_resolved_stays(paths: Paths, kind: str, verb: Any) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            holds = scene.context.image_holds if kind == "image" else scene.context.kernel_holds

            async def resolve() -> Any:
                return IMAGE if kind == "image" else KERNEL

            async with holds.held("web", resolve):
                with pytest.raises(BangerError) as refused:
                    await scene.bus.ask(verb(ref="deb"))
            assert refused.value.details == {"vms": ["web"]}
            assert (scene.images.images, scene.images.kernels) == ([IMAGE], [KERNEL])

    play(act())


@pytest.mark.parametrize(("kind", "verb"), KINDS)
def test_vms_that_services_keep_go_with_what_they_boot_from(
    paths: Paths, kind: str, verb: Any
) -> None:
    async def act() -> None:
        kept = example_vm(name=example_vm().id, keeper="pool", **USED)
        async with Scene(paths, kept, example_vm(id="d" * 12)) as scene:
            if kind == "image":
                used = (await scene.bus.ask(api.SYSTEM_USAGE())).used
                assert next(each.count for each in used if each.kind == "vms") == 1
            await scene.bus.ask(verb(ref="deb"))
            assert list(scene.store.vms) == ["d" * 12]

    play(act())


def test_what_no_vm_uses_is_deleted(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            image = await scene.bus.ask(api.IMAGE_DELETE(ref="deb"))
            kernel = await scene.bus.ask(api.KERNEL_DELETE(ref="deb"))
            assert (image.id, image.name) == (IMAGE.id, IMAGE.name)
            assert (kernel.id, kernel.name) == (KERNEL.id, KERNEL.name)
            assert (scene.images.images, scene.images.kernels) == ([], [])

    play(act())


def test_an_image_is_shown_with_the_vms_that_use_it(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(id="a", name="web", **USED), example_vm()) as scene:
            shown = await scene.bus.ask(api.IMAGE_SHOW(ref="deb"))
            assert (shown.id, shown.users) == (IMAGE.id, ["web"])

    play(act())


def test_prune_says_which_images_vms_use_or_are_about_to(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(image_id="3" * 16)) as scene:

            async def resolve() -> Any:
                return IMAGE

            async with scene.context.image_holds.held("web", resolve):
                assert (await scene.bus.ask(api.IMAGE_PRUNE(dry_run=True))).pruned == []
            assert scene.images.used == [IMAGE.id, "3" * 16]

    play(act())


def test_the_vms_disks_are_part_of_what_is_used(paths: Paths) -> None:
    async def act() -> None:
        vm = example_vm()
        async with Scene(paths, vm, example_vm(id="b" * 12, name="never-started")) as scene:
            disk = paths.vm_state(vm.id) / files.OVERLAY
            disk.parent.mkdir(parents=True)
            disk.write_bytes(b"x" * 8192)
            usage = await scene.bus.ask(api.SYSTEM_USAGE())
            assert [each.kind for each in usage.used] == ["images", "vms", "templates", "pool"]
            assert usage.used[1].count == 2
            assert usage.used[1].real_bytes == disk.stat().st_blocks * 512 > 0

    play(act())


def test_a_damaged_image_is_deleted_unless_a_vm_needs_it(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(id="web", name="web", **USED)) as scene:
            scene.images.damaged = True
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.IMAGE_DELETE(ref="deb"))
            assert refused.value.code is Code.CONFLICT
        async with Scene(paths) as scene:
            scene.images.damaged = True
            gone = await scene.bus.ask(api.IMAGE_DELETE(ref="deb"))
            assert (gone.id, scene.images.images) == (IMAGE.id, [])

    play(act())
