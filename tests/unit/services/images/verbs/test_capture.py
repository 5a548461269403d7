"""A layer becomes an image: real disks, a real worker."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from services.images.context import ImagesContext
from services.images.verbs.capture import CaptureVerbs, base_with_room
from shared.bus.handlers import Call, handled_verbs
from shared.config import Config
from shared.contract.messages.image import ImageConfig, ImageOrigin
from shared.contract.messages.image_work import ImageCapture
from shared.contract.verbs import images
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.paths import Paths
from shared.vm import files
from tests.unit.services.images.capture.disks import make_disk, upper_tree
from tests.unit.services.images.library.shelf import add
from tests.unit.services.images.test_job_runner import Asked

VM = "0123456789ab"


@pytest.fixture
def context(tmp_path: Path) -> ImagesContext:
    paths = Paths(*(tmp_path / name for name in ("config", "data", "state", "run")))
    paths.vm_state(VM).mkdir(parents=True)
    upper = upper_tree(tmp_path / "overlay")
    (upper / "etc/motd").write_text("hello")
    make_disk(paths.vm_state(VM) / files.OVERLAY, tmp_path / "overlay")
    return ImagesContext(paths, Log(tmp_path / "log", "images"), Config())


def capture(context: ImagesContext, base: str, name: str = "web", key: str = "") -> None:
    origin = ImageOrigin(kind="commit", reference="db")
    request = ImageCapture(vm_id=VM, base=base, name=name, origin=origin, key=key)

    async def act() -> None:
        await CaptureVerbs(context).capture(request, cast(Call, Asked()))

    asyncio.run(act())


def test_it_answers_its_verbs() -> None:
    handled = {verb.name for _, verb in handled_verbs(CaptureVerbs)}
    assert handled == {images.IMAGE_CAPTURE.name}


def test_the_layer_lies_on_the_image_of_the_vm(context: ImagesContext) -> None:
    config = ImageConfig(cmd=["x"])
    base = add(context.paths.images, b"base", "debian", config=config, kernel="special")
    capture(context, base.id, key="a" * 64)
    made = context.images.library.find("web")
    assert (made.base_digest, made.config, made.kernel) == (base.digest, config, "special")
    assert (made.source, made.origin and made.origin.kind) == ("commit:db", "commit")
    assert context.kept.image_of("a" * 64) == made.id


def test_of_a_capture_that_fails_nothing_is_left(context: ImagesContext) -> None:
    base = add(context.paths.images, b"base", "debian")
    (context.paths.vm_state(VM) / files.OVERLAY).write_bytes(b"x" * 5000)
    with pytest.raises(BangerError, match="is damaged"):
        capture(context, base.id)
    assert {each.name for each in context.paths.images.iterdir()} == {base.id, "by-name"}
    assert list(context.paths.image_jobs.iterdir()) == []


@pytest.mark.parametrize("name", ["No Name", "debian-bookworm"])
def test_a_name_that_cannot_be_is_refused_first(context: ImagesContext, name: str) -> None:
    base = add(context.paths.images, b"base", "debian")
    with pytest.raises(BangerError):
        capture(context, base.id, name)
    assert not context.paths.image_jobs.exists()


def test_a_stack_that_is_as_high_as_can_be_is_refused(context: ImagesContext) -> None:
    top = add(context.paths.images, b"0", "i0")
    for number in range(1, 8):
        assert base_with_room(context, top.id)
        top = add(context.paths.images, b"%d" % number, f"i{number}", base=top)
    with pytest.raises(BangerError, match="i7 has 8 layers") as caught:
        base_with_room(context, top.id)
    assert caught.value.code is Code.INVALID
