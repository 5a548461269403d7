"""Root filesystems of users as images."""

from pathlib import Path

import pytest

from services.images.jobs.register import run
from services.images.jobs.requests import RegisterJob
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from shared.errors import BangerError, Code
from shared.workers.job import JobContext
from tests.unit.services.images.library.shelf import add
from tests.unit.services.images.rootfs.disks import squashfs, tar_of


def register(tmp_path: Path, rootfs: Path, name: str = "mine", **more: object) -> ImageManifest:
    fields = {"images": str(tmp_path / "images"), "name": name, "rootfs": str(rootfs), **more}
    return run(RegisterJob(**fields), JobContext(tmp_path, lambda *_: None)).image  # type: ignore[arg-type]


def library(tmp_path: Path) -> Library[ImageManifest]:
    return Library(tmp_path / "images", ImageManifest, "image")


def test_a_squashfs_is_registered_where_it_is(tmp_path: Path) -> None:
    mine = squashfs(tmp_path / "mine.squashfs")
    made = register(tmp_path, mine, "mine:1", kernel="debian-trixie")
    assert (made.external, made.kernel, made.source) == (
        str(mine),
        "debian-trixie",
        "file:mine.squashfs",
    )
    assert library(tmp_path).find("mine:1") == made
    assert register(tmp_path, mine, "mine:1", kernel="debian-trixie").id == made.id


def test_a_tar_becomes_an_image_with_a_work_seed(tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    tar = tar_of(tmp_path / "root.tar", {"bin/sh": b"#!"})
    made = register(tmp_path, tar, work_seed=str(tmp_path / "seed"))
    assert made.external == ""
    assert made.seed
    assert library(tmp_path).find("mine") == made


def test_a_name_is_taken_from_another_image_only_by_force(tmp_path: Path) -> None:
    add(tmp_path / "images", b"other", "mine")
    tar = tar_of(tmp_path / "root.tar", {"bin/sh": b"#!"})
    with pytest.raises(BangerError) as raised:
        register(tmp_path, tar)
    assert raised.value.code is Code.CONFLICT
    made = register(tmp_path, tar, force=True)
    assert library(tmp_path).names() == {"mine": made.id}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match=r"missing: No such file") as raised:
        register(tmp_path, tmp_path / "missing")
    assert raised.value.code is Code.DENIED
    assert library(tmp_path).entries() == ([], [])


def test_deleting_the_image_leaves_the_users_file(tmp_path: Path) -> None:
    mine = squashfs(tmp_path / "mine.squashfs")
    register(tmp_path, mine)
    library(tmp_path).remove("mine")
    assert mine.stat().st_size > 0
