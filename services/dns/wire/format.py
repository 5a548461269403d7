"""DNS messages as octets: the constants of RFC 1035 and RFC 6891, and names. Pure."""

import struct
from enum import IntEnum

HEADER = struct.Struct("!HHHHHH")
QUESTION_TAIL = struct.Struct("!HH")
RECORD_HEAD = struct.Struct("!HHIH")
"""Type, class, TTL and length of the data, which follow a record's owner."""

QR, AA, TC, RD, RA, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
OPCODE_MASK, RCODE_MASK = 0x7800, 0x000F
DO = 0x8000
"""In the TTL of an OPT record: DNSSEC records are wanted (RFC 3225)."""

CLASS_IN, CLASS_ANY = 1, 255

UDP_WITHOUT_EDNS = 512
"""RFC 1035 section 4.2.1."""

UDP_LARGEST = 1232
"""The most octets sent or requested by UDP: fits every path unfragmented (DNS flag day 2020)."""

TCP_LENGTH = struct.Struct("!H")
"""The length that precedes each message by TCP (RFC 7766 section 8)."""

TCP_LARGEST = 65535
LABEL_LARGEST, NAME_LARGEST = 63, 255
QUESTION_OWNER = (0xC000 | HEADER.size).to_bytes(2)
"""A pointer to the name of the question (RFC 1035 section 4.1.4)."""

_POINTER = 0xC0
_POINTERS_MOST = 127
"""Pointers in one name, which has no more labels. A longer chain would only cost time."""

Labels = tuple[bytes, ...]
"""A name without the root, in lower case."""


class Type(IntEnum):
    """Record types that banger knows (RFC 1035 section 3.2 and later)."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    AAAA = 28
    OPT = 41
    TSIG = 250
    IXFR = 251
    AXFR = 252
    ANY = 255


class Rcode(IntEnum):
    """RFC 1035 section 4.1.1; BADVERS: RFC 6891 section 9."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class Malformed(ValueError):
    """Octets that are not a DNS message."""


def read_name(packet: bytes, at: int) -> tuple[Labels, int]:
    """The name at offset ``at``, and the offset after it.

    A pointer (RFC 1035 section 4.1.4) must point to before the part that it ends, so that there
    is no loop.

    Raises:
        Malformed: the name is cut off or too long, or a pointer points elsewhere.
    """
    labels: list[bytes] = []
    start, end, size, pointers = at, 0, 1, 0
    while (length := _octet(packet, at)) != 0:
        if length & _POINTER == _POINTER:
            target = (length & ~_POINTER) << 8 | _octet(packet, at + 1)
            end = end or at + 2
            pointers += 1
            if target >= start or pointers > _POINTERS_MOST:
                raise Malformed("a pointer that does not point back, or too many pointers")
            start = at = target
            continue
        label = packet[at + 1 : at + 1 + length]
        size += 1 + length
        if length > LABEL_LARGEST or len(label) != length or size > NAME_LARGEST:
            raise Malformed("a name that is cut off or too long")
        labels.append(label.lower())
        at += 1 + length
    return tuple(labels), end or at + 1


def _octet(packet: bytes, at: int) -> int:
    if at >= len(packet):
        raise Malformed("cut off")
    return packet[at]


def write_name(labels: Labels) -> bytes:
    """``labels`` on the wire, uncompressed."""
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def write_record(owner: bytes, kind: int, ttl: int, data: bytes) -> bytes:
    """A record of class IN. ``owner``: a name or a pointer to one, on the wire."""
    return owner + RECORD_HEAD.pack(kind, CLASS_IN, ttl, len(data)) + data


def write_option(*, dnssec: bool = False, rcode: int = Rcode.NOERROR) -> bytes:
    """An OPT record with banger's UDP size and the upper bits of ``rcode`` (RFC 6891 6.1.3)."""
    flags = (rcode >> 4) << 24 | (DO if dnssec else 0)
    return b"\0" + RECORD_HEAD.pack(Type.OPT, UDP_LARGEST, flags, 0)


def room_for(announced: int) -> int:
    """Octets that may be sent by UDP to a client that announced this size by EDNS."""
    return max(UDP_WITHOUT_EDNS, min(announced, UDP_LARGEST))
