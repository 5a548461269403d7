"""Records of extended headers, read and written."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.images.oci.flatten.reading.extended_header import ExtendedHeader, record, records
from shared.errors import BangerError

KEYS = st.binary(min_size=1, max_size=20).filter(lambda key: b"=" not in key)


@given(st.lists(st.tuples(KEYS, st.binary(max_size=1200))))
def test_what_is_written_is_read(pairs: list[tuple[bytes, bytes]]) -> None:
    content = b"".join(record(key, value) for key, value in pairs)
    assert list(records(content)) == pairs


@given(st.binary(max_size=60))
def test_anything_is_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(BangerError):
        list(records(content))


@pytest.mark.parametrize("size", range(80, 110))
def test_a_length_counts_its_own_digits(size: int) -> None:
    written = record(b"key", b"v" * size)
    assert written.startswith(b"%d " % len(written))


def test_of_two_records_the_last_counts_and_others_are_skipped() -> None:
    extended = ExtendedHeader()
    extended.add(record(b"path", b"a") + record(b"comment", b"x") + record(b"path", b"b"))
    extended.add(record(b"SCHILY.xattr.user.a", b"1=2\n"))
    assert extended.values == {b"path": b"b"}
    assert extended.xattrs == {b"user.a": b"1=2\n"}


def test_numbers_are_decimal() -> None:
    extended = ExtendedHeader()
    extended.add(record(b"size", b"12"))
    assert extended.number(b"size") == 12
    assert extended.number(b"uid") is None


def test_padding_inside_is_skipped() -> None:
    assert list(records(record(b"a", b"b") + bytes(5))) == [(b"a", b"b")]
