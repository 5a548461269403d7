"""A plan knows what is kept: real files, a real worker."""

import asyncio
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from services.images.context import ImagesContext
from services.images.verbs.building import BuildVerbs
from shared.bus.handlers import Call, handled_verbs
from shared.config import Config
from shared.contract.messages.build import BuildKeep, BuildPlan, BuildQuestion
from shared.contract.verbs import images
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.paths import Paths
from shared.vm import files
from tests.unit.services.images.jobs.builds import question, request
from tests.unit.services.images.library.shelf import add
from tests.unit.services.images.test_job_runner import Asked

VM = "0123456789ab"
CALL = cast(Call, Asked())


@pytest.fixture
def context(tmp_path: Path) -> ImagesContext:
    paths = Paths(*(tmp_path / name for name in ("config", "data", "state", "run")))
    paths.vm_state(VM).mkdir(parents=True)
    for name in (files.OVERLAY, files.WORK_DISK):
        (paths.vm_state(VM) / name).write_text(name)
    return ImagesContext(paths, Log(tmp_path / "log", "images"), Config())


@pytest.fixture
def asked(context: ImagesContext, tmp_path: Path) -> BuildQuestion:
    base = add(context.paths.images, b"base", "debian")
    made = question(tmp_path, "FROM x\nRUN one\nRUN two\nRUN three\n")
    made.base = replace(made.base, id=base.id, digest=base.digest)
    return made


def plan(context: ImagesContext, asked: BuildQuestion) -> BuildPlan:
    async def act() -> BuildPlan:
        return await BuildVerbs(context).plan(asked, CALL)

    return asyncio.run(act())


def test_it_answers_its_verbs() -> None:
    handled = {verb.name for _, verb in handled_verbs(BuildVerbs)}
    assert handled == {f"build.{name}" for name in ("base", "plan", "run", "keep", "disks")}
    assert images.BUILD_RUN.name in handled


def test_a_base_is_read_in_a_worker(context: ImagesContext, tmp_path: Path) -> None:
    async def act() -> str:
        asked = request(tmp_path, "FROM a:1")
        return (await BuildVerbs(context).base(asked, CALL)).reference

    assert asyncio.run(act()) == "a:1"


def test_the_last_step_whose_disks_are_kept_is_where_a_build_goes_on(
    context: ImagesContext, asked: BuildQuestion
) -> None:
    first = plan(context, asked)
    assert (first.cached, first.made) == (0, None)
    context.kept.keep_disks(first.keys[1], context.paths.vm_state(VM))
    assert plan(context, asked).cached == 2
    asked.force = True
    assert plan(context, asked).cached == 0


def test_an_image_that_is_there_is_the_answer_until_it_is_deleted(
    context: ImagesContext, asked: BuildQuestion
) -> None:
    image = add(context.paths.images, b"made", "web")
    context.kept.note_image(plan(context, asked).key, image.id)
    made = plan(context, asked).made
    assert made is not None
    assert made.id == image.id
    context.images.library.remove("web")
    assert plan(context, asked).made is None


def test_kept_disks_are_given_to_a_vm(context: ImagesContext) -> None:
    verbs, other = BuildVerbs(context), "ba9876543210"

    async def act() -> list[bool]:
        await verbs.keep(BuildKeep(vm_id=VM, key="a" * 64), CALL)
        keys = ("a" * 64, "b" * 64)
        found = []
        for key in keys:
            asked = BuildKeep(vm_id=other if key == keys[0] else "c" * 12, key=key)
            found.append((await verbs.disks(asked, CALL)).found)
        return found

    assert asyncio.run(act()) == [True, False]
    assert (context.paths.vm_state(other) / files.OVERLAY).read_text() == files.OVERLAY


@pytest.mark.parametrize("name", ["Web", "debian-trixie"])
def test_a_name_that_cannot_be_given_is_refused_before_anything_is_built(
    context: ImagesContext, tmp_path: Path, name: str
) -> None:
    async def act() -> None:
        asked = request(tmp_path, f'base = "debian-bookworm"\nname = "{name}"', "toml")
        await BuildVerbs(context).base(asked, CALL)

    with pytest.raises(BangerError, match=name) as caught:
        asyncio.run(act())
    assert caught.value.code is Code.INVALID
