"""Header blocks, and those that Python's tarfile writes."""

import contextlib
import tarfile
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.images.oci.flatten.reading.header import number, read_header
from shared.errors import BangerError
from tests.oci.layers import header


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_what_tarfile_writes_is_read(form: Literal[0, 1]) -> None:
    info = tarfile.TarInfo("d/" * 20 + "name")
    info.size, info.mode, info.uid, info.gid, info.mtime = 1234, 0o4755, 1000, 2000, 1_600_000_000
    read = read_header(info.tobuf(form))
    assert (read.name, read.size, read.mode) == (info.name.encode(), 1234, 0o4755)
    assert (read.uid, read.gid, read.mtime) == (1000, 2000, 1_600_000_000)


def test_large_numbers_in_base_256_are_read() -> None:
    info = tarfile.TarInfo("a")
    info.size, info.uid, info.mtime = 1 << 40, 1 << 31, -5
    read = read_header(info.tobuf(tarfile.GNU_FORMAT))
    assert (read.size, read.uid, read.mtime) == (1 << 40, 1 << 31, -5)


def test_a_long_name_is_split_before_its_prefix() -> None:
    assert read_header(header(b"name", prefix=b"a/b")).name == b"a/b/name"
    assert read_header(header(b"name", prefix=b"a/b", magic=b"ustar  \0")).name == b"name"


def test_the_times_of_star_are_no_prefix() -> None:
    fields = {345: b"above", 476: b"00000000001 ", 508: b"tar\0"}
    assert read_header(header(b"name", fields=fields)).name == b"above/name"


def test_the_checksum_may_be_that_of_signed_octets() -> None:
    block = bytearray(header("é".encode()))
    signed = sum(octet - 256 * (octet > 127) for octet in (*block[:148], *block[156:])) + 256
    block[148:156] = b"%06o\0 " % signed
    assert read_header(bytes(block)).name == "é".encode()


@pytest.mark.parametrize(
    ("digits", "value"),
    [(b"0000644\0", 0o644), (b"    644 ", 0o644), (b"644\0junk", 0o644), (b"\0\0\0", 0), (b"", 0)],
)
def test_octal_numbers(digits: bytes, value: int) -> None:
    assert number(digits.ljust(12, b"\0"), 0, 12) == value


@given(st.binary(min_size=12, max_size=12))
def test_any_number_is_read_or_refused(field: bytes) -> None:
    with contextlib.suppress(BangerError):
        assert abs(number(field, 0, 12)) < 1 << 64
