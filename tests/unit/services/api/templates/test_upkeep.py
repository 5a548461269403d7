"""Templates that no VM will be made of are found, with why."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from services.api.templates.library import RECORD
from services.api.templates.upkeep import Upkeep, find_template
from services.api.unasked import template_making
from shared.contract.messages.template import Template
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from tests.fakes.images import IMAGE, KERNEL
from tests.fakes.scene import Scene, play
from tests.fakes.templates import created, make_template, scene_with_templates

Harm = Callable[[Paths, Path], object]


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_making, "QUIET_SECONDS", 0.001)


def upkeep(scene: Scene) -> Upkeep:
    return Upkeep(scene.context.templates, scene.paths)


def test_one_that_is_of_use_says_what_it_is(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            await created(scene)
            key = (await make_template(scene)).key
            (view,) = await upkeep(scene).views(check=True)
            assert (view.key, view.image_name, view.problems) == (key, IMAGE.name, [])
            assert (view.vmm, view.vmm_version, view.memory_mib) == ("qemu", "7.2", 128)
            assert view.real_bytes > 0
            assert await upkeep(scene).remove_useless() == []

    play(act())


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda paths, _: shutil.rmtree(paths.images / IMAGE.id), "its image is gone"),
        (lambda paths, _: shutil.rmtree(paths.kernels / KERNEL.id), "its kernel is gone"),
        (lambda paths, _: (paths.kernels / KERNEL.id / "new").touch(), "has changed since"),
        (lambda _, place: (place / RECORD).write_text("{"), "its record cannot be read"),
        (lambda _, place: os.utime(place / RECORD, (1, 1)), "nobody has used it for a week"),
    ],
)
def test_one_that_is_of_no_use_says_why_and_is_removed(
    paths: Paths, harm: Harm, problem: str
) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            await created(scene)
            key = (await make_template(scene)).key
            harm(paths, scene.context.templates.place(key))
            (view,) = await upkeep(scene).views()
            assert problem in view.problems[0]
            assert await upkeep(scene).remove_useless() == [key]
            assert await upkeep(scene).views() == []

    play(act())


def test_damage_is_found_where_it_is_looked_for(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            await created(scene)
            place = scene.context.templates.place((await make_template(scene)).key)
            (place / files.MEMORY).write_bytes(b"MEMORY")
            assert (await upkeep(scene).views())[0].problems == []
            assert "is damaged" in (await upkeep(scene).views(check=True))[0].problems[0]

    play(act())


def test_those_of_an_image_or_a_kernel_go_with_it(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            await created(scene)
            for gone in ({"image_id": IMAGE.id}, {"kernel_id": KERNEL.id}):
                await make_template(scene)
                await upkeep(scene).remove_of(image_id="another")
                assert len(await upkeep(scene).views()) == 1
                await upkeep(scene).remove_of(**gone)
                assert await upkeep(scene).views() == []

    play(act())


def test_the_beginning_of_a_key_is_enough() -> None:
    views = [Template(key=key, used_at="", real_bytes=0) for key in ("ab1", "ab2")]
    assert find_template(views, "ab2").key == "ab2"
    for ref, code in (("ab", Code.AMBIGUOUS), ("c", Code.NOT_FOUND), ("", Code.NOT_FOUND)):
        with pytest.raises(BangerError) as raised:
            find_template(views, ref)
        assert raised.value.code is code
