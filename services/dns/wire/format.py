"""DNS messages as octets: what RFC 1035 and RFC 6891 fix, and reading names. Pure.

What is forwarded is read here and not by dnslib: the octets go on as they came, and only what
banger decides by is looked at.
"""

import struct

HEADER = struct.Struct("!HHHHHH")
QUESTION_TAIL = struct.Struct("!HH")
RECORD_HEAD = struct.Struct("!HHIH")
"""Type, class, TTL, length of the data: what follows a record's owner."""

QR, AA, TC, RD, RA, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
OPCODE_MASK, RCODE_MASK = 0x7800, 0x000F
DO = 0x8000
"""In an OPT record's TTL: the asker wants DNSSEC's records (RFC 3225)."""

CLASS_IN, CLASS_ANY = 1, 255
TYPE_OPT, TYPE_TSIG = 41, 250
TRANSFERS = (251, 252)
"""IXFR and AXFR: nobody gets a copy of the zone."""

UDP_WITHOUT_EDNS = 512
"""RFC 1035 section 4.2.1."""

UDP_LARGEST = 1232
"""The most we send or ask for by UDP: fits every path unfragmented (DNS flag day 2020)."""

TCP_LENGTH = struct.Struct("!H")
"""What goes before each message by TCP: its octets (RFC 7766 section 8)."""

TCP_LARGEST = 65535
LABEL_LARGEST, NAME_LARGEST = 63, 255
_POINTER = 0xC0
_POINTERS_MOST = 127
"""In one name: it has no more labels. A chain of thousands would only be meant to cost time."""

Labels = tuple[bytes, ...]
"""A name without the root, in lower case."""


class Malformed(ValueError):
    """Octets that are no DNS message."""


def read_name(packet: bytes, at: int) -> tuple[Labels, int]:
    """The name at offset ``at``, and the offset after it.

    A pointer (RFC 1035 section 4.1.4) has to lead to before the part it ends: so there is no loop.

    Raises:
        Malformed: cut off, too long, or a pointer that leads anywhere else.
    """
    labels: list[bytes] = []
    start, end, size, pointers = at, 0, 1, 0
    while (length := _octet(packet, at)) != 0:
        if length & _POINTER == _POINTER:
            target = (length & ~_POINTER) << 8 | _octet(packet, at + 1)
            end = end or at + 2
            pointers += 1
            if target >= start or pointers > _POINTERS_MOST:
                raise Malformed("a pointer that does not lead back, or one too many")
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


def write_option(*, dnssec: bool = False) -> bytes:
    """An OPT record with our own size (RFC 6891 section 6.1.2)."""
    return b"\0" + RECORD_HEAD.pack(TYPE_OPT, UDP_LARGEST, DO if dnssec else 0, 0)


def room_for(announced: int) -> int:
    """Octets of UDP that may be sent to one who announced this size by EDNS."""
    return max(UDP_WITHOUT_EDNS, min(announced, UDP_LARGEST))
