"""What is sent is what was looked at, or the archive is cut off."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.workspaces.guest.outgoing import OutgoingArchive
from services.workspaces.guest.tar_stream import content
from services.workspaces.repository.selection import Entry
from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError, Code
from tests.repositories.making import git, ordinary, write


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return ordinary(tmp_path / "top")


def entries(*paths: bytes) -> list[Entry]:
    return [Entry(path, 0o100644, "") for path in paths]


def test_its_length_is_what_it_said(top: Path) -> None:
    (top / "link").symlink_to("README")
    write(top, "a/" * 60 + "long", b"x" * 700)
    members = [content(b".git/HEAD", b"ref: refs/heads/main\n")]
    written: list[bytes] = []
    with WorkTree(top) as tree:
        found = entries(b"README", b"link", b"a/" * 60 + b"long", b"src/main.py")
        archive = OutgoingArchive(tree, found, b"below/")
        archive.write_files(written.append)
        archive.write_members(members, written.append)
    assert len(b"".join(written)) == archive.length(members)
    assert (archive.sent, archive.bytes) == (4, 8 + 700 + 9)


def grow(file: Path) -> None:
    with file.open("a") as opened:
        opened.write("more")


def rewrite(file: Path) -> None:
    file.write_text("other!!\n")
    os.utime(file, (1, 1))


def become_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


def become_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def shorten(file: Path) -> None:
    file.write_text("")


CHANGES: list[Callable[[Path], None]] = [
    grow,
    rewrite,
    become_link,
    become_fifo,
    Path.unlink,
    shorten,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_cuts_it_off(top: Path, change: Callable[[Path], None]) -> None:
    written: list[bytes] = []
    with WorkTree(top) as tree:
        archive = OutgoingArchive(tree, entries(b"README", b"src/main.py"))
        change(top / "README")
        with pytest.raises(BangerError, match="README"):
            archive.write_files(written.append)
    assert len(b"".join(written)) < archive.length([])


def test_a_link_that_changes_cuts_it_off(top: Path) -> None:
    (top / "link").symlink_to("README")
    with WorkTree(top) as tree:
        archive = OutgoingArchive(tree, [Entry(b"link", 0o120000, "")])
        (top / "link").unlink()
        (top / "link").symlink_to("elsewhere")
        with pytest.raises(BangerError) as caught:
            archive.write_files(lambda _: None)
    assert caught.value.code is Code.CONFLICT


def test_a_file_that_is_gone_is_named(top: Path) -> None:
    with WorkTree(top) as tree, pytest.raises(BangerError, match="gone vanished"):
        OutgoingArchive(tree, entries(b"gone"))


def test_the_object_name_of_raw_bytes_is_gits(top: Path) -> None:
    with WorkTree(top) as tree:
        archive = OutgoingArchive(tree, entries(b"README", b"src/main.py"), hashed=[b"README"])
        archive.write_files(lambda _: None)
    wanted = git(top, "hash-object", "--no-filters", "README").decode().strip()
    assert [file.raw_oid for file in archive.files] == [wanted, ""]
