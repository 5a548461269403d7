"""A registered image comes into the library."""

import os
from pathlib import Path

import pytest

from services.images.jobs import promote
from services.images.jobs.requests import PromoteJob
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from shared.errors import BangerError, Code
from shared.workers.job import JobContext
from tests.unit.services.images.jobs.test_register import register
from tests.unit.services.images.rootfs.disks import squashfs


def promoted(tmp_path: Path, image: ImageManifest) -> ImageManifest:
    request = PromoteJob(images=str(tmp_path / "images"), id=image.id)
    return promote.run(request, JobContext(tmp_path, lambda *_: None)).image


def test_the_image_stays_the_same_and_needs_the_file_no_more(tmp_path: Path) -> None:
    mine = squashfs(tmp_path / "mine")
    mine.chmod(0o600)
    before = register(tmp_path, mine)
    after = promoted(tmp_path, before)
    mine.unlink()
    assert (after.id, after.digest, after.external) == (before.id, before.digest, "")
    found = Library(tmp_path / "images", ImageManifest, "image").find("mine")
    assert found == after
    rootfs = tmp_path / "images" / after.id / "rootfs.squashfs"
    assert not rootfs.is_symlink()
    assert rootfs.stat().st_mode & 0o777 == 0o644
    assert {path.name for path in (tmp_path / "images").iterdir()} == {after.id, "by-name"}
    assert promoted(tmp_path, after) == after


def test_a_crash_after_the_copy_leaves_an_image_that_can_be_read(tmp_path: Path) -> None:
    before = register(tmp_path, squashfs(tmp_path / "mine"))
    manifest = (tmp_path / "images" / before.id / "manifest.json").read_bytes()
    promoted(tmp_path, before)
    (tmp_path / "images" / before.id / "manifest.json").write_bytes(manifest)
    assert Library(tmp_path / "images", ImageManifest, "image").find("mine") == before


def test_a_file_of_another_content_is_refused_though_its_time_and_size_are_the_same(
    tmp_path: Path,
) -> None:
    mine = squashfs(tmp_path / "mine")
    before = register(tmp_path, mine)
    mine.write_bytes(bytes(mine.stat().st_size))
    os.utime(mine, ns=(before.external_mtime_ns, before.external_mtime_ns))
    with pytest.raises(BangerError, match="changed after it was registered") as raised:
        promoted(tmp_path, before)
    assert raised.value.code is Code.INVALID
    assert (tmp_path / "images" / before.id / "rootfs.squashfs").is_symlink()
