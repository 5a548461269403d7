"""Members of archives, and those that GNU tar and Python write."""

import contextlib
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.images.oci.flatten.limits import FlattenLimits
from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.reading.member import LayerMember, MemberKind
from services.images.oci.flatten.reading.members import Budget, members
from shared.errors import BangerError
from tests.oci.layers import END, directory, file, hard_link, header, padded, pax, xattrs


def read(*parts: bytes, chunk: int = 700) -> list[LayerMember]:
    archive = b"".join(parts)
    chunks = (archive[at : at + chunk] for at in range(0, len(archive), chunk))
    return list(members(ByteStream(chunks), Budget(FlattenLimits())))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_odd_names_are_read(form: int) -> None:
    names = ["a" * 200, "d/" * 90 + "e", "caf\u00e9", "b" * 99, "c" * 100, "d" * 101]
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.mtime = 3, 1 << 30, 1_234_567_890
            archive.addfile(info, io.BytesIO(b"abc"))
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, name
            archive.addfile(link)
    found = read(written.getvalue())
    assert [b"/".join(each.path).decode() for each in found[::2]] == names
    assert [each.target.decode() for each in found[1::2]] == names
    assert {(each.uid, each.mtime, each.size) for each in found[::2]} == {(1 << 30, 1234567890, 3)}


def test_contents_are_where_they_say() -> None:
    archive = (
        directory(b"d") + file(b"a", b"x" * 600) + xattrs((b"user.a", b"1")) + file(b"b", b"y")
    )
    first, second, third = read(archive, END)
    assert first.kind is MemberKind.DIRECTORY
    assert archive[second.offset : second.offset + second.stored] == b"x" * 600
    assert archive[third.offset : third.offset + third.stored] == b"y"
    assert third.xattrs == ((b"user.a", b"1"),)


def test_an_extended_header_is_for_one_member() -> None:
    first, second = read(pax((b"path", b"long"), (b"uid", b"7")), file(b"a"), file(b"b"))
    assert (first.path, first.uid) == ((b"long",), 7)
    assert (second.path, second.uid) == ((b"b",), 0)


def test_a_global_header_says_nothing() -> None:
    (only,) = read(pax((b"comment", b"c" * 40), (b"path", b"x"), kind=b"g"), file(b"a"), END)
    assert only.path == (b"a",)


def test_links_directories_and_devices_have_no_data() -> None:
    sized = header(b"d", b"5", size=4096) + header(b"n", b"3", size=9, device=(1, 3))
    found = read(sized, hard_link(b"l", b"/n"), file(b"a", b"x"), END)
    assert [each.size for each in found] == [0, 0, 0, 1]
    assert found[1].device == (1, 3)
    assert found[2].target == b"n"


def test_data_of_a_directory_of_the_seventh_edition_is_skipped() -> None:
    found = read(header(b"d/", b"\0", size=3) + padded(b"abc"), file(b"a", b"x"), END)
    assert [(each.kind, each.size) for each in found] == [
        (MemberKind.DIRECTORY, 0),
        (MemberKind.FILE, 1),
    ]


@pytest.mark.parametrize(
    ("said", "kept"),
    [(b"-5", 0), (b"-0.5", 0), (b"12.9", 12), (b"99999999999", 2**32 - 1), (b"0", 0)],
)
def test_times_are_cut_to_what_squashfs_can_say(said: bytes, kept: int) -> None:
    (only,) = read(pax((b"mtime", said)), file(b"a"))
    assert only.mtime == kept


def test_the_end_is_two_blocks_of_zeros_or_the_streams() -> None:
    assert len(read(file(b"a"), END, file(b"b"))) == 1
    assert len(read(file(b"a"))) == 1
    assert len(read(file(b"a"), bytes(512))) == 1
    assert read(END) == []


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.data())
def test_any_damage_is_read_or_refused(data: st.DataObject) -> None:
    """No octet of an archive makes another exception than the one that says so."""
    whole = bytearray(
        xattrs((b"user.a", b"1"))
        + file(b"a", b"x" * 10)
        + pax((b"GNU.sparse.map", b"0,4"), (b"GNU.sparse.size", b"9"))
        + file(b"s", b"data")
        + header(b"l", b"2", link=b"a")
        + END
    )
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    start = data.draw(st.sampled_from([0, 0, 512, 1024]))
    if data.draw(st.booleans()):  # with the checksum put right, so that the field is reached
        block = whole[start : start + 512]
        block[148:156] = b" " * 8
        whole[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    with contextlib.suppress(BangerError):
        read(bytes(whole))
