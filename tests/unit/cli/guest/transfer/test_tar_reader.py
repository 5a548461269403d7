"""Tar streams of a guest that may be hostile."""

import io
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.guest.transfer.archive_entry import DEEPEST, EntryKind, TreeEntry
from cli.guest.transfer.tar_reader import (
    HEADER_LIMIT,
    ForwardStream,
    entries,
)
from cli.guest.transfer.tar_writer import END
from shared.errors import BangerError, Code


def stream_of(data: bytes) -> ForwardStream:
    return ForwardStream(io.BytesIO(data).read)


def archive(*members: dict[str, Any], data: bytes = b"") -> bytes:
    raw = b""
    for fields in members:
        info = tarfile.TarInfo("top/x")
        info.size = len(data)
        for name, value in fields.items():
            setattr(info, name, value)
        raw += info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512)
    return raw


def read(data: bytes) -> list[TreeEntry]:
    return list(entries(stream_of(data), ("top",)))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "/etc/passwd"},
        {"name": "top/../../x"},
        {"name": ".."},
        {"name": "other"},
        {"name": "topper/x"},
        {"name": "top/" + "d/" * DEEPEST + "x"},
        {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "top/../../etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "elsewhere"},
        {"type": tarfile.SYMTYPE, "linkname": ""},
        {"pax_headers": {"path": "/etc/passwd"}},
        {"pax_headers": {"size": "-1"}},
        {"pax_headers": {"size": str(2**70)}},
        {"pax_headers": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                         "GNU.sparse.name": "../x", "GNU.sparse.realsize": "1"}},
        {"pax_headers": {"GNU.sparse.map": "5,5,3,5", "GNU.sparse.size": "100"}},
        {"pax_headers": {"GNU.sparse.map": "0,500", "GNU.sparse.size": "1"}},
        {"pax_headers": {"GNU.sparse.map": "0,-5", "GNU.sparse.size": "1"}},
        {"pax_headers": {f"SCHILY.xattr.user.{number}": "x" * 1000 for number in range(100)}},
        {"pax_headers": {"a": "x" * (HEADER_LIMIT + 1)}},
    ],
    ids=lambda fields: str(fields)[:50],
)  # fmt: skip
def test_what_is_forbidden_ends_the_copy(fields: dict[str, Any]) -> None:
    with pytest.raises(BangerError) as caught:
        read(archive(fields) + END)
    assert caught.value.code == Code.GUEST_FAILED


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_have_no_content(kind: bytes) -> None:
    assert [entry.kind for entry in read(archive({"type": kind}) + END)] == [EntryKind.SPECIAL]


def test_rights_do_not_come_with_a_file() -> None:
    pax = {"SCHILY.xattr.security.capability": "x", "SCHILY.xattr.user.a": "y"}
    (entry,) = read(archive({"mode": 0o6755, "pax_headers": pax}) + END)
    assert (entry.mode, entry.xattrs) == (0o755, {"user.a": b"y"})


@pytest.mark.parametrize("mtime", ["nan", "inf", "9" * 400, "-1e400", "x"])
def test_no_time_is_too_odd(mtime: str) -> None:
    try:
        (entry,) = read(archive({"pax_headers": {"mtime": mtime}}) + END)
    except BangerError:
        return
    assert abs(entry.mtime) < 2**63


def test_long_names_of_long_names_come_to_an_end() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    one = info.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(512, b"\0")
    with pytest.raises(BangerError):
        read(one * 3000)


def test_what_is_cut_off_or_wrong_is_no_end() -> None:
    whole = archive({}, {"name": "top/y"}, data=b"data") + END
    assert len(read(whole)) == 2
    for length in (100, 512, 600, 1024, 1500, 2048):
        with pytest.raises(BangerError):
            read(whole[:length])
    with pytest.raises(BangerError):
        read(archive({}) + b"x" * 512 + END)


def test_archives_follow_each_other() -> None:
    stream = stream_of(b"word\0" + archive({}) + END * 9 + b"next\0" + archive({}) + END * 9)
    assert stream.until(b"\0", 9) == b"word"
    assert len(list(entries(stream, ("top",)))) == 1
    assert stream.skip_zeros()
    assert stream.until(b"\0", 9) == b"next"
    assert len(list(entries(stream, ("top",)))) == 1
    assert not stream.skip_zeros()


def test_records_and_padding_have_an_end() -> None:
    with pytest.raises(BangerError):
        stream_of(b"x" * 100).until(b"\0", 50)
    with pytest.raises(BangerError):
        ForwardStream(bytes).skip_zeros()


@pytest.mark.parametrize("form", ["pax", "gnu", "ustar"])
def test_what_gnu_tar_writes_is_understood(tmp_path: Path, form: str) -> None:
    (tmp_path / "top").mkdir()
    with (tmp_path / "top/holes").open("wb") as holes:
        for number in range(40):
            holes.seek(number << 16)
            holes.write(b"x" * 4096)
        holes.truncate(1 << 24)
    (tmp_path / "top" / ("n" * 90)).write_bytes(b"y" * 1000)
    command = ["tar", "-c", f"--format={form}", "-C", str(tmp_path), "top"]
    sparse = [] if form == "ustar" else ["--sparse"]
    done = subprocess.run([*command, *sparse], capture_output=True, check=True)
    found = {}
    for entry in entries(stream_of(done.stdout), ("top",)):
        found[entry.path[-1:]] = (entry.size, sum(map(len, entry.content())))
    assert found[("holes",)] == (1 << 24, 40 * 4096 if sparse else 1 << 24)
    assert found[("n" * 90,)] == (1000, 1000)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 3000), st.booleans())
def test_no_stream_of_bytes_ends_otherwise_than_by_an_error(
    noise: bytes, where: int, inserted: bool
) -> None:
    good = archive({"pax_headers": {"mtime": "1.5"}}, {"name": "top/y"}, data=b"data") + END
    data = good[:where] + noise + good[where if inserted else where + len(noise) :]
    with suppress(BangerError):
        for entry in entries(stream_of(data), ("top",)):
            assert sum(map(len, entry.content())) <= len(data)
