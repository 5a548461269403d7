"""What PullVerbs answers, and when it asks nobody else. Whole pulls are in
tests/integration/test_image_pulls.py."""

import asyncio
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from services.images.context import ImagesContext
from services.images.verbs.pulling import PullVerbs
from shared.bus.handlers import Call, handled_verbs
from shared.config import Config
from shared.contract.messages.image import Image, ImageOrigin, Resolve
from shared.contract.messages.image_work import ImagePull
from shared.contract.verbs import images
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.paths import Paths
from tests.unit.services.images.library.shelf import add

ORIGIN = ImageOrigin(kind="oci", reference="docker.io/library/alpine:3")
NOBODY = cast(Call, None)
"""A caller whom nothing is reported to: nothing is done either."""


@pytest.fixture(name="verbs")
def _verbs(tmp_path: Path) -> PullVerbs:
    paths = Paths(*(tmp_path / name for name in ("config", "data", "state", "run")))
    return PullVerbs(ImagesContext(paths, cast(Log, None), Config()))


def pull(verbs: PullVerbs, **request: Any) -> Image:
    async def answer() -> Image:
        return await verbs.pull(ImagePull(**request), NOBODY)

    return asyncio.run(answer())


def test_it_answers_its_verbs() -> None:
    handled = {verb.name for _, verb in handled_verbs(PullVerbs)}
    assert handled == {images.IMAGE_PULL.name}


def test_a_name_that_came_from_the_same_reference_is_the_answer(
    verbs: PullVerbs, tmp_path: Path
) -> None:
    here = add(tmp_path / "data/images", b"x", "alpine:3", origin=ORIGIN)
    for source in ("alpine:3", "docker.io/library/alpine:3"):
        assert pull(verbs, source=source).id == here.id


@pytest.mark.parametrize("source", ["oci:relative", "docker-archive:x.tar", "Upper", "a b"])
def test_a_source_of_no_use_is_refused(verbs: PullVerbs, source: str) -> None:
    with pytest.raises(BangerError) as caught:
        pull(verbs, source=source)
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize("name", ["debian-bookworm", "A", "a/b"])
def test_a_name_that_no_user_may_give_is_refused(verbs: PullVerbs, name: str) -> None:
    with pytest.raises(BangerError) as caught:
        pull(verbs, source="alpine:3", name=name)
    assert caught.value.code is Code.INVALID


def test_a_plain_word_never_means_a_registry(verbs: PullVerbs) -> None:
    assert asyncio.run(verbs.resolve(Resolve(ref="alpine"), NOBODY)) is None


def test_a_tag_of_a_user_is_found_here(verbs: PullVerbs, tmp_path: Path) -> None:
    here = add(tmp_path / "data/images", b"x", "web:1")
    found = asyncio.run(verbs.resolve(Resolve(ref="web:1"), NOBODY))
    assert found
    assert found.id == here.id


def test_a_tag_whose_base_is_lost_starts_no_vm(verbs: PullVerbs, tmp_path: Path) -> None:
    library = tmp_path / "data/images"
    base = add(library, b"base", "base")
    add(library, b"x", "web:1", base=base)
    shutil.rmtree(library / base.id)
    with pytest.raises(BangerError, match="lies on the image"):
        asyncio.run(verbs.resolve(Resolve(ref="web:1"), NOBODY))
