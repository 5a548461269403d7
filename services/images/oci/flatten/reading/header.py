"""The header block of a tar member: POSIX.1-2017, "ustar Interchange Format"; tar(5) for GNU."""

from dataclasses import dataclass

from services.images.oci.flatten.limits import damaged

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)

FILE_TYPES = frozenset(b"0\x007S")
"""Regular; of the seventh edition; contiguous, which is read as regular; sparse of old GNU tar."""
WITH_DATA = FILE_TYPES | frozenset(b"xgLK")
"""Other types have no data, whatever their size says: GNU tar and Go read them so."""
LONGEST_NUMBER = 64


@dataclass(slots=True)
class Header:
    """The fields of a block that an image depends on. Numbers are as they are in it."""

    type: int
    """The type flag, an octet."""
    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    device: tuple[int, int]


def read_header(block: bytes) -> Header:
    """Raises:
    BangerError: ``invalid`` for a block that is no header.
    """
    _check_sum(block)
    name = _text(block, 0, 100)
    if block[257:263] == b"ustar\0":
        end = 476 if block[508:512] == b"tar\0" else 500  # star keeps times behind the prefix
        if prefix := _text(block, 345, end):
            name = prefix + b"/" + name
    kind = block[156]
    is_device = kind in b"34"
    return Header(
        type=kind,
        name=name,
        mode=number(block, 100, 108),
        uid=number(block, 108, 116),
        gid=number(block, 116, 124),
        size=number(block, 124, 136),
        mtime=number(block, 136, 148),
        link=_text(block, 157, 257),
        device=(number(block, 329, 337), number(block, 337, 345)) if is_device else (0, 0),
    )


def number(block: bytes, start: int, end: int) -> int:
    """A numeric field: octal digits, or GNU's base 256 when the first bit is set.

    Raises:
        BangerError: ``invalid``
    """
    first = block[start]
    if first & 0x80:
        value = int.from_bytes(block[start:end], "big", signed=True)
        bits = 8 * (end - start)
        value = value if first == 0xFF else value & ((1 << (bits - 1)) - 1)
        if value.bit_length() >= LONGEST_NUMBER:
            raise damaged("a header has an impossible number")
        return value
    digits = block[start:end].partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    try:
        if digits.isdigit():
            return int(digits, 8)
    except ValueError:
        pass
    raise damaged("a header has a number that is not octal")


def _check_sum(block: bytes) -> None:
    told = number(block, 148, 156)
    unsigned = sum(block) - sum(block[148:156]) + 256  # the field itself counts as eight spaces
    if told == unsigned:
        return
    signed = unsigned - 256 * sum(octet > 127 for octet in (*block[:148], *block[156:]))
    if told != signed:  # of old writers, whose octets had a sign
        raise damaged("the checksum of a header is wrong")


def _text(block: bytes, start: int, end: int) -> bytes:
    return block[start:end].partition(b"\0")[0]
