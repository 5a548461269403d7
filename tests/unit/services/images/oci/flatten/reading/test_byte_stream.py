"""Chunks of any size read as one stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.images.oci.flatten.reading.byte_stream import ByteStream
from shared.errors import BangerError


@given(st.lists(st.binary(max_size=8)), st.lists(st.integers(0, 12), max_size=12))
def test_it_is_what_the_chunks_make_together(chunks: list[bytes], counts: list[int]) -> None:
    whole = b"".join(chunks)
    stream = ByteStream(iter(chunks))
    for turn, count in enumerate(counts):
        before = stream.position
        expected = whole[before : before + count]
        if len(expected) < count:
            with pytest.raises(BangerError, match="ends in the middle"):
                stream.take(count)
            return
        if turn % 3 == 0:
            assert stream.take(count) == expected
        elif turn % 3 == 1:
            assert b"".join(stream.pieces(count)) == expected
        else:
            stream.skip(count)
        assert stream.position == before + count
    assert stream.at_end() is (stream.position == len(whole))
    stream.drain()
    assert stream.position == len(whole)


def test_pieces_are_not_copied() -> None:
    chunk = bytes(1000)
    (piece,) = ByteStream(iter([chunk])).pieces(1000)
    assert isinstance(piece, memoryview)
    assert piece.obj is chunk
