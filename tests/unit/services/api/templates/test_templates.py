"""Which key a VM has, and which templates are left alone."""

from typing import Any

import pytest

from services.api.templates import templates
from services.api.templates.templates import Templates
from shared.config import Config, TemplatesConfig
from shared.logs import Log
from shared.paths import Paths
from tests.fakes.images import KERNEL
from tests.fakes.scene import play
from tests.fakes.templates import created, scene_with_templates

SPEC: dict[str, Any] = {
    "image_id": "i",
    "kernel_id": KERNEL.id,
    "vcpu": 1,
    "memory_mib": 128,
    "disk_bytes": 1,
    "overlay_bytes": 1,
}


def test_a_key_changes_with_the_kernels_files(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            of = scene.context.templates.key_for
            one = await of(SPEC, "qemu")
            assert one
            assert one == await of(SPEC, "qemu")
            assert one.key != (await of(SPEC | {"memory_mib": 256}, "qemu") or one).key
            (paths.kernels / KERNEL.id / "tools.squashfs").touch()
            assert one.key != (await of(SPEC, "qemu") or one).key

    play(act())


def test_there_is_no_key_where_there_can_be_no_template(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            assert (
                await scene.context.templates.key_for(SPEC | {"kernel_id": "gone"}, "qemu") is None
            )
        off = Config(templates=TemplatesConfig(limit="0"))
        none = Templates(paths, off, Log(paths.log_file("api"), "api"))
        assert await none.key_for(SPEC, "qemu") is None

    play(act())


def test_one_is_struck_for_an_hour(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            found = scene.context.templates
            found.strike("one")
            assert found.is_struck("one")
            assert not await found.is_there("one")
            assert not found.is_struck("two")
            monkeypatch.setattr(templates, "STRUCK_SECONDS", 0.0)
            found.strike("one")
            assert not found.is_struck("one")

    play(act())


def test_what_is_wanted_has_nothing_of_the_vm_that_was_booted(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            await created(scene, nat=True, labels={"whose": "mine"}, lease="")
            (wanted,) = scene.context.templates.wanted.still()
            assert (wanted.spec.nat, wanted.spec.labels, wanted.spec.vmm) == (False, {}, "qemu")
            assert not scene.context.templates.in_the_way.is_set()

    play(act())
