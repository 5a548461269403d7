"""The tar stream that goes into L1."""

import io
import tarfile
from pathlib import Path

import pytest

from scripts.smoke_kvm import parcel
from shared.paths import Paths


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tarfile.TarInfo]:
    root = tmp_path_factory.mktemp("parcel")
    for library in ("images", "kernels"):
        (root / library / "0123").mkdir(parents=True)
        (root / library / "0123" / "manifest.json").write_text("{}")
        (root / library / "by-name").mkdir()
        (root / library / "by-name" / "debian-bookworm").symlink_to("../0123")
    for program in ("packages/click.py", "firecracker/firecracker", "firecracker/jailer"):
        (root / program).parent.mkdir(exist_ok=True)
        (root / program).write_text("")
    stream = io.BytesIO()
    paths = Paths(config=root, data=root, state=root, run=root)
    parcel.write(stream, paths, root / "packages", root / "firecracker")
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        return {entry.name: entry for entry in archive}


def test_the_checkout_is_there_without_what_git_does_not_track(
    entries: dict[str, tarfile.TarInfo],
) -> None:
    assert entries["opt/banger/scripts/setup"].mode & 0o111
    assert "opt/banger/.git" not in entries


def test_images_and_kernels_keep_their_names(entries: dict[str, tarfile.TarInfo]) -> None:
    for library in ("images", "kernels"):
        link = entries[f"opt/data/banger/{library}/by-name/debian-bookworm"]
        assert (link.type, link.linkname) == (tarfile.SYMTYPE, "../0123")
        assert f"opt/data/banger/{library}/0123/manifest.json" in entries


def test_a_virtualenv_is_laid_around_the_packages(entries: dict[str, tarfile.TarInfo]) -> None:
    site = "opt/banger/.venv/lib/python3.11/site-packages"
    assert f"{site}/click.py" in entries
    assert f"{site}/banger.pth" in entries
    assert entries["opt/banger/.venv/bin/banger"].mode & 0o111


def test_all_is_roots_and_readable_by_everyone(entries: dict[str, tarfile.TarInfo]) -> None:
    assert {(entry.uid, entry.gid) for entry in entries.values()} == {(0, 0)}
    assert all(entry.mode & 0o444 == 0o444 for entry in entries.values())


def test_names_in_it_are_relative(entries: dict[str, tarfile.TarInfo]) -> None:
    assert all(not Path(name).is_absolute() and ".." not in name for name in entries)
