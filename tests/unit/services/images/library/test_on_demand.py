import asyncio
from pathlib import Path

import pytest

from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from services.images.library.on_demand import BuildOnDemand
from services.images.library.scratch import Scratch, sweep
from services.images.library.single_flight import ReportProgress
from shared.errors import BangerError, Code

from .shelf import add, put


class Maker:
    """Makes an image of ``content``; counts how often."""

    def __init__(self, content: bytes = b"content") -> None:
        self.content = content
        self.made = 0

    async def __call__(self, work: Scratch, progress: ReportProgress) -> ImageManifest:
        self.made += 1
        progress("install", "working", 0.5)
        return put(work, self.content)


def silent(stage: str, message: str, fraction: float | None) -> None: ...


def builds(root: Path) -> BuildOnDemand[ImageManifest]:
    return BuildOnDemand(Library(root, ImageManifest, "image"))


def test_what_is_missing_is_made_and_published(tmp_path: Path) -> None:
    stages: list[str] = []
    got = asyncio.run(
        builds(tmp_path).get(
            "debian", Maker(), force=False, progress=lambda stage, *_: stages.append(stage)
        )
    )
    assert Library(tmp_path, ImageManifest, "image").find("debian") == got
    assert stages == ["install", "publish"]


def test_what_is_there_is_not_made_again_unless_forced(tmp_path: Path) -> None:
    old = add(tmp_path, b"monday")
    maker = Maker(b"tuesday")
    assert asyncio.run(builds(tmp_path).get("debian", maker, force=False, progress=silent)) == old
    assert maker.made == 0
    new = asyncio.run(builds(tmp_path).get("debian", maker, force=True, progress=silent))
    assert new.id != old.id
    assert maker.made == 1


def test_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content")
    (tmp_path / entry.id / "manifest.json").unlink()
    again = builds(tmp_path).get("debian", Maker(), force=False, progress=silent)
    assert asyncio.run(again) == entry


def test_two_at_once_make_it_once(tmp_path: Path) -> None:
    maker = Maker()

    async def scenario() -> None:
        on_demand = builds(tmp_path)
        asking = (on_demand.get("debian", maker, force=False, progress=silent) for _ in range(2))
        first, second = await asyncio.gather(*asking)
        assert first == second
        assert on_demand.busy == []

    asyncio.run(scenario())
    assert maker.made == 1


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    async def fail(work: Scratch, progress: ReportProgress) -> ImageManifest:
        (work.path / "half").touch()
        raise BangerError(Code.NO_SPACE, "the disk is full")

    with pytest.raises(BangerError, match="full"):
        asyncio.run(builds(tmp_path).get("debian", fail, force=False, progress=silent))
    assert list(tmp_path.iterdir()) == []


def test_what_was_cancelled_in_the_middle_is_made_from_the_start(tmp_path: Path) -> None:
    maker = Maker()

    async def scenario() -> None:
        on_demand, begun = builds(tmp_path), asyncio.Event()

        async def hang(work: Scratch, progress: ReportProgress) -> ImageManifest:
            (work.path / "half").touch()
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        asking = asyncio.create_task(on_demand.get("debian", hang, force=False, progress=silent))
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert list(tmp_path.iterdir()) == []
        await on_demand.get("debian", maker, force=False, progress=silent)

    asyncio.run(scenario())
    assert maker.made == 1


def test_what_a_crash_left_is_swept_and_made_from_the_start(tmp_path: Path) -> None:
    left = tmp_path / ".banger-new-x"
    left.mkdir()
    (left / "rootfs.squashfs").write_bytes(b"half")
    assert sweep(tmp_path) == [left]
    made = asyncio.run(builds(tmp_path).get("debian", Maker(), force=False, progress=silent))
    assert {path.name for path in tmp_path.iterdir()} == {made.id, "by-name"}
