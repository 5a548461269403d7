"""The archive is read back by a parser written from cpio(5), not by the writer's own code."""

import stat
from dataclasses import dataclass

import pytest

from shared.host.cpio import Archive


@dataclass(frozen=True)
class Entry:
    path: str
    mode: int
    content: bytes
    inode: int
    mtime: int


def parse(data: bytes) -> list[Entry]:
    """Read a newc archive by the layout of cpio(5); offsets are aligned from its start."""
    entries: list[Entry] = []
    offset = 0
    while True:
        header = data[offset : offset + 110]
        assert header[:6] == b"070701"
        values = [int(header[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
        inode, mode, mtime, size, name_size = (values[i] for i in (0, 1, 5, 6, 11))
        name_end = offset + 110 + name_size
        assert data[name_end - 1] == 0
        path = data[offset + 110 : name_end - 1].decode()
        start = -(-name_end // 4) * 4
        if path == "TRAILER!!!":
            assert start == len(data)
            return entries
        entries.append(Entry(path, mode, data[start : start + size], inode, mtime))
        offset = -(-(start + size) // 4) * 4


def test_files_directories_and_links_come_back_as_they_were_added() -> None:
    archive = Archive()
    archive.directory("etc", 0o700)
    archive.file("etc/key", b"secret\n", 0o600)
    archive.symlink("etc/link", "../key")
    entries = parse(archive.to_bytes())
    assert [(e.path, e.mode, e.content) for e in entries] == [
        ("etc", stat.S_IFDIR | 0o700, b""),
        ("etc/key", stat.S_IFREG | 0o600, b"secret\n"),
        ("etc/link", stat.S_IFLNK | 0o777, b"../key"),
    ]


@pytest.mark.parametrize("size", range(6))
def test_every_content_length_leaves_the_next_entry_aligned(size: int) -> None:
    archive = Archive()
    archive.file("a" * (size + 1), b"x" * size)
    archive.file("next", b"after")
    assert [e.content for e in parse(archive.to_bytes())] == [b"x" * size, b"after"]


def test_missing_parents_are_added_once_before_their_children() -> None:
    archive = Archive()
    archive.file("usr/lib/a", b"")
    archive.file("usr/lib/b", b"")
    assert [e.path for e in parse(archive.to_bytes())] == [
        "usr",
        "usr/lib",
        "usr/lib/a",
        "usr/lib/b",
    ]


def test_inodes_differ_so_that_files_are_not_taken_for_hard_links() -> None:
    archive = Archive()
    archive.file("one", b"1")
    archive.file("two", b"2")
    assert len({e.inode for e in parse(archive.to_bytes())}) == 2


def test_the_same_entries_give_the_same_bytes() -> None:
    first, second = Archive(), Archive()
    for archive in (first, second):
        archive.file("modules/load", b"virtio.ko\n")
    assert first.to_bytes() == second.to_bytes()
    assert all(e.mtime == 0 for e in parse(first.to_bytes()))


def test_an_empty_archive_is_only_its_trailer() -> None:
    assert parse(Archive().to_bytes()) == []
    assert len(Archive().to_bytes()) % 4 == 0


@pytest.mark.parametrize("path", ["", "/init", "a//b", "../a", "a/./b", "a/", "a\0b"])
def test_a_path_that_is_not_plain_and_relative_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        Archive().file(path, b"")


def test_a_repeated_path_is_refused() -> None:
    archive = Archive()
    archive.file("init", b"")
    with pytest.raises(ValueError, match="already"):
        archive.file("init", b"")
