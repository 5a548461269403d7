"""Headers that GNU tar and tarfile understand."""

import io
import tarfile

import pytest

from cli.guest.transfer.archive_entry import EntryKind, TreeEntry
from cli.guest.transfer.tar_writer import BLOCK, END, header, padding


def opened(*entries: TreeEntry, data: bytes = b"") -> tarfile.TarFile:
    raw = b"".join(header(entry, ("top",)) + data + padding(entry) for entry in entries)
    return tarfile.open(fileobj=io.BytesIO(raw + END))


@pytest.mark.parametrize("kind", [EntryKind.FILE, EntryKind.DIRECTORY])
def test_names_modes_times_and_attributes_are_exact(kind: EntryKind) -> None:
    name = "n" * 200 + "\udcff\n"
    entry = TreeEntry(
        kind, ("a", name), 0o640, 1_600_000_000_123_456_789, xattrs={"user.a": b"\xff\0"}
    )
    info = opened(entry).getmembers()[0]
    assert info.name == f"./top/a/{name}"
    assert info.mode == 0o640
    assert info.pax_headers["mtime"] == "1600000000.123456789"
    assert info.pax_headers["SCHILY.xattr.user.a"].encode("utf-8", "surrogateescape") == b"\xff\0"


def test_times_before_1970_are_negative() -> None:
    entry = TreeEntry(EntryKind.DIRECTORY, (), mtime=-1_500_000_000)
    assert opened(entry).getmembers()[0].mtime == -1.5


def test_holes_are_left_out() -> None:
    entry = TreeEntry(EntryKind.FILE, ("h",), size=1 << 40, segments=((1 << 39, 3),))
    info = opened(entry, data=b"abc").getmembers()[0]
    assert info.name == "./top/h"
    assert info.size == 1 << 40
    assert info.issparse()
    assert len(padding(entry)) == BLOCK - 3


def test_links_name_what_they_lead_to() -> None:
    link = TreeEntry(EntryKind.LINK, ("l",), link="/x" * 200)
    hard = TreeEntry(EntryKind.HARD_LINK, ("h",), original=("a", "b"))
    first, second = opened(link, hard).getmembers()
    assert (first.type, first.linkname) == (tarfile.SYMTYPE, "/x" * 200)
    assert (second.type, second.linkname) == (tarfile.LNKTYPE, "./top/a/b")
