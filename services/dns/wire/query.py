"""A question that is not ours to answer, on its way through: read, asked on, answered. Pure."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from services.dns.wire.format import (
    CD,
    CLASS_IN,
    DO,
    HEADER,
    OPCODE_MASK,
    QR,
    QUESTION_TAIL,
    RA,
    RD,
    RECORD_HEAD,
    TC,
    TCP_LARGEST,
    TYPE_OPT,
    UDP_WITHOUT_EDNS,
    Labels,
    Malformed,
    read_name,
    room_for,
    write_name,
    write_option,
)
from services.dns.zone.zone import Rcode, Type

_DATA_TYPES = range(1, 128)
_MORE_DATA_TYPES = 256
_HOST_LABEL = re.compile(rb"[a-z0-9_-]+")


class Key(NamedTuple):
    """What makes two questions the same one: they may share an answer."""

    name: Labels
    kind: int
    dnssec: bool
    unchecked: bool
    """The bit CD: answers that upstream could not validate are wanted too (RFC 4035 3.2.2)."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question of class IN for records, and what its answer has to look like."""

    identity: int
    recursive: bool
    key: Key
    question: bytes
    """As it came, mixed case included."""
    edns: bool
    room: int
    """Octets that the asker takes by UDP."""

    @property
    def host_name(self) -> str:
        """The name in text, without the final dot; empty when it is no host name, as a label
        with a dot in it would be taken for two."""
        plain = all(_HOST_LABEL.fullmatch(label) for label in self.key.name)
        return b".".join(self.key.name).decode("ascii") if plain else ""


def read_query(packet: bytes) -> Query | None:
    """None for everything that is not to be asked on: what cannot be read, is no plain question,
    or is for what only a server of the name itself could give (transfers, TSIG...)."""
    try:
        return _read_query(packet)
    except Malformed:
        return None


def _read_query(packet: bytes) -> Query | None:
    if len(packet) < HEADER.size:
        return None
    identity, flags, *counts, additionals = HEADER.unpack_from(packet)
    if flags & (QR | OPCODE_MASK) or counts != [1, 0, 0] or additionals > 1:
        return None
    name, at = read_name(packet, HEADER.size)
    end = at + QUESTION_TAIL.size
    if end > len(packet) or packet[HEADER.size : at].lower() != write_name(name):
        return None
    kind, klass = QUESTION_TAIL.unpack_from(packet, at)
    if klass != CLASS_IN or not _is_data(kind):
        return None
    room, dnssec = _read_option(packet, end) if additionals else (UDP_WITHOUT_EDNS, False)
    return Query(
        identity=identity,
        recursive=bool(flags & RD),
        key=Key(name, kind, dnssec, bool(flags & CD)),
        question=packet[HEADER.size : end],
        edns=bool(additionals),
        room=room,
    )


def _is_data(kind: int) -> bool:
    """Not a type that exists in messages only (RFC 6895 section 3.1)."""
    data = kind in _DATA_TYPES or kind >= _MORE_DATA_TYPES or kind == Type.ANY
    return data and kind != TYPE_OPT


def _read_option(packet: bytes, at: int) -> tuple[int, bool]:
    """Room for the answer, and whether DNSSEC is wanted."""
    if packet[at : at + 1] != b"\0" or len(packet) < at + 1 + RECORD_HEAD.size:
        raise Malformed("no OPT record")
    kind, size, flags, length = RECORD_HEAD.unpack_from(packet, at + 1)
    version = flags >> 16 & 0xFF
    if kind != TYPE_OPT or version or at + 1 + RECORD_HEAD.size + length > len(packet):
        raise Malformed("no OPT record of version 0")
    return room_for(size), bool(flags & DO)


def ask_on(key: Key, identity: int, *, edns: bool = True) -> bytes:
    """The question for an upstream, in lower case, with EDNS unless upstream does not know it."""
    flags = RD | (CD if key.unchecked else 0)
    header = HEADER.pack(identity, flags, 1, 0, 0, int(edns))
    option = write_option(dnssec=key.dnssec) if edns else b""
    return header + write_name(key.name) + QUESTION_TAIL.pack(key.kind, CLASS_IN) + option


def answer(
    query: Query, rcode: int, counts: tuple[int, int] = (0, 0), body: bytes = b"", *, tcp: bool
) -> bytes:
    """The message for the asker: ``body`` holds ``counts`` answers and authorities. Where it has
    no room, the question alone with TC set (RFC 2181 section 9)."""
    option = write_option(dnssec=query.key.dnssec) if query.edns else b""
    flags = QR | RA | rcode | (RD if query.recursive else 0) | (CD if query.key.unchecked else 0)
    size = HEADER.size + len(query.question) + len(body) + len(option)
    if size > (TCP_LARGEST if tcp else query.room):
        flags, counts, body = flags | TC, (0, 0), b""
    header = HEADER.pack(query.identity, flags, 1, *counts, int(query.edns))
    return header + query.question + body + option


def failed(query: Query, *, tcp: bool) -> bytes:
    """SERVFAIL: nobody could say, for now."""
    return answer(query, Rcode.SERVFAIL, tcp=tcp)
