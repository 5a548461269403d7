"""Maps of sparse files, in the four formats of GNU tar (tar manual, "Storing Sparse Files").

A map says where the data that the archive holds belongs in the file; the rest are holes.
"""

from collections.abc import Callable, Iterable, Iterator

from services.images.oci.flatten.limits import damaged
from services.images.oci.flatten.reading.extended_header import ExtendedHeader, decimal
from services.images.oci.flatten.reading.header import BLOCK, number
from services.images.oci.flatten.reading.member import Extents

MOST_EXTENTS = 1 << 18
"""Of one file."""

Take = Callable[[int], bytes]
"""Reads so many bytes of the archive."""

_PAIR = 24
_PAIRS_IN_HEADER = range(386, 386 + 4 * _PAIR, _PAIR)
_PAIRS_IN_EXTENSION = range(0, 21 * _PAIR, _PAIR)


def is_sparse(extended: ExtendedHeader) -> bool:
    """Whether the pax headers describe a sparse file."""
    keys = extended.values.keys()
    return bool(extended.sparse_pairs) or not keys.isdisjoint(
        (b"GNU.sparse.map", b"GNU.sparse.major", b"GNU.sparse.size", b"GNU.sparse.realsize")
    )


def old_format(block: bytes, take: Take) -> tuple[int, Extents]:
    """Size and map of a member of type "S". ``take`` reads the blocks that continue the map."""
    pairs = list(_octal_pairs(block, _PAIRS_IN_HEADER))
    more = block[482]
    while more:
        extension = take(BLOCK)
        pairs.extend(_octal_pairs(extension, _PAIRS_IN_EXTENSION))
        _check_count(len(pairs))
        more = extension[504]
    return number(block, 483, 495), tuple(pairs)


def _octal_pairs(block: bytes, places: Iterable[int]) -> Iterator[tuple[int, int]]:
    for at in places:
        if not block[at]:
            return
        yield number(block, at, at + 12), number(block, at + 12, at + 24)


def pax_format(extended: ExtendedHeader, take: Take) -> tuple[int, Extents]:
    """Size and map of a member that its extended header calls sparse.

    Formats 0.0 and 0.1 have the map in the header; 1.0 has it in front of the data, which ``take``
    reads.
    """
    if extended.values.get(b"GNU.sparse.major", b"0") != b"0":
        size = extended.number(b"GNU.sparse.realsize")
        numbers = _leading_numbers(take)
    else:
        size = extended.number(b"GNU.sparse.size")
        if size is None:
            size = extended.number(b"GNU.sparse.realsize")
        listed = extended.values.get(b"GNU.sparse.map")
        numbers = extended.sparse_pairs
        if listed:
            numbers = [decimal(part, b"GNU.sparse.map") for part in listed.split(b",")]
    if size is None:
        raise damaged("a sparse file has no size")
    if len(numbers) % 2:
        raise damaged("the map of a sparse file ends in the middle")
    _check_count(len(numbers) // 2)
    return size, tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _leading_numbers(take: Take) -> list[int]:
    """Lines of decimal numbers, the first of them their count, padded to whole blocks."""
    lines = _lines(take)
    count = decimal(next(lines), b"the count of extents")
    _check_count(count)
    return [decimal(next(lines), b"an extent") for _ in range(2 * count)]


def _lines(take: Take) -> Iterator[bytes]:
    rest = b""
    while True:
        block = take(BLOCK)
        *whole, rest = (rest + block).split(b"\n")
        if len(rest) > BLOCK:
            raise damaged("the map of a sparse file is no list of numbers")
        yield from whole


def checked(size: int, extents: Extents, stored: int) -> Extents:
    """The map without empty extents, if it fits ``size`` bytes of file and ``stored`` of data.

    Raises:
        BangerError: ``invalid``
    """
    at = total = 0
    for start, length in extents:
        if start < at or length < 0 or start + length > size:
            raise damaged("the map of a sparse file does not fit its size")
        at = start + length
        total += length
    if total != stored:
        raise damaged("the map of a sparse file does not fit its data")
    return tuple((start, length) for start, length in extents if length)


def _check_count(count: int) -> None:
    if count > MOST_EXTENTS:
        raise damaged(f"a sparse file has more than {MOST_EXTENTS} extents")
