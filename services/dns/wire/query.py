"""Questions of clients: read once, for the zone and for upstreams alike, and answered. Pure.

The question goes back exactly as it came, mixed case included, because resolvers use the case
against forged answers ("0x20").
"""

import re
import struct
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
    RCODE_MASK,
    RD,
    RECORD_HEAD,
    TC,
    TCP_LARGEST,
    UDP_LARGEST,
    UDP_WITHOUT_EDNS,
    Labels,
    Malformed,
    Rcode,
    Type,
    read_name,
    room_for,
    write_name,
    write_option,
)

_DATA_TYPES = range(1, 128)
_MORE_DATA_TYPES = 256
_HOST_LABEL = re.compile(rb"[a-z0-9_-]+")
_ADDITIONAL_MOST = 2
"""OPT and TSIG."""


class QuestionKey(NamedTuple):
    """What makes two questions equal, so that they can share an answer."""

    name: Labels
    kind: int
    dnssec: bool
    unchecked: bool
    """The bit CD: answers that the upstream could not validate are wanted too (RFC 4035 3.2.2)."""


class Option(NamedTuple):
    """What the client says by EDNS. ``room``: octets that it accepts by UDP."""

    room: int
    version: int = 0
    dnssec: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A question, and what its answer has to look like."""

    identity: int
    recursive: bool
    unchecked: bool
    name: Labels
    kind: int
    klass: int
    question: bytes
    """As received."""
    option: Option | None = None
    signed: bool = False
    """With a transaction signature (TSIG), which only the server of the name can verify."""

    @property
    def key(self) -> QuestionKey:
        return QuestionKey(self.name, self.kind, self.wants_dnssec, self.unchecked)

    @property
    def wants_dnssec(self) -> bool:
        return self.option is not None and self.option.dnssec

    @property
    def may_be_forwarded(self) -> bool:
        """Whether another resolver can answer it: a plain question for data of class IN."""
        plain = self.option is None or self.option.version == 0
        return plain and not self.signed and self.klass == CLASS_IN and _is_data(self.kind)

    @property
    def host_name(self) -> str:
        """The name in text, without the final dot; empty when it is no host name, because a label
        that contains a dot would become two."""
        plain = all(_HOST_LABEL.fullmatch(label) for label in self.name)
        return b".".join(self.name).decode("ascii") if plain else ""


def read_query(packet: bytes) -> Query | Rcode | None:
    """The query, or the error to answer with (``write_error``), or None for no answer at all.

    Not answered are packets that are too short for a header, and responses: two servers that
    answer each other's errors would never end.
    """
    if len(packet) < HEADER.size:
        return None
    _, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    if flags & QR:
        return None
    if flags & OPCODE_MASK:
        return Rcode.NOTIMP
    if questions != 1 or answers or authorities or additionals > _ADDITIONAL_MOST:
        return Rcode.FORMERR
    try:
        return _read_query(packet, additionals)
    except (Malformed, struct.error):
        return Rcode.FORMERR


def _read_query(packet: bytes, additionals: int) -> Query:
    if len(packet) > UDP_LARGEST:
        raise Malformed("longer than a question is")
    identity, flags, *_ = HEADER.unpack_from(packet)
    name, at = read_name(packet, HEADER.size)
    kind, klass = QUESTION_TAIL.unpack_from(packet, at)
    end = at + QUESTION_TAIL.size
    if packet[HEADER.size : at].lower() != write_name(name):
        raise Malformed("a compressed name, which has nothing to refer to")
    option, signed = _read_additional(packet, end, additionals)
    return Query(
        identity=identity,
        recursive=bool(flags & RD),
        unchecked=bool(flags & CD),
        name=name,
        kind=kind,
        klass=klass,
        question=packet[HEADER.size : end],
        option=option,
        signed=signed,
    )


def _read_additional(packet: bytes, at: int, count: int) -> tuple[Option | None, bool]:
    """The client's EDNS option, if any, and whether the query is signed."""
    option, signed = None, False
    for _ in range(count):
        owner, head = read_name(packet, at)
        kind, size, flags, length = RECORD_HEAD.unpack_from(packet, head)
        at = head + RECORD_HEAD.size + length
        if at > len(packet):
            raise Malformed("a record that is cut off")
        if kind == Type.OPT and option is None and not owner:
            option = Option(room_for(size), flags >> 16 & 0xFF, bool(flags & DO))
        elif kind == Type.TSIG and not signed:
            signed = True
        else:
            raise Malformed("an additional record that does not belong to a question")
    return option, signed


def _is_data(kind: int) -> bool:
    """Whether it is no type that exists in messages only (RFC 6895 section 3.1)."""
    data = kind in _DATA_TYPES or kind >= _MORE_DATA_TYPES or kind == Type.ANY
    return data and kind != Type.OPT


def write_question(key: QuestionKey, identity: int, *, edns: bool = True) -> bytes:
    """The question for an upstream, in lower case; with EDNS unless the upstream rejects it."""
    flags = RD | (CD if key.unchecked else 0)
    header = HEADER.pack(identity, flags, 1, 0, 0, int(edns))
    option = write_option(dnssec=key.dnssec) if edns else b""
    return header + write_name(key.name) + QUESTION_TAIL.pack(key.kind, CLASS_IN) + option


def write_answer(
    query: Query,
    rcode: int,
    counts: tuple[int, int] = (0, 0),
    body: bytes = b"",
    *,
    tcp: bool,
    flags: int = RA,
) -> bytes:
    """The message for the client. ``body`` holds ``counts`` answers and authorities.

    If there is no room for it, the message has the question alone with TC set (RFC 2181 section
    9), and the client asks again by TCP. ``flags``: AA from the
    zone, RA from upstreams.
    """
    option = b""
    if query.option is not None:
        option = write_option(dnssec=query.wants_dnssec, rcode=rcode)
    flags |= QR | rcode & RCODE_MASK
    flags |= (RD if query.recursive else 0) | (CD if query.unchecked else 0)
    size = HEADER.size + len(query.question) + len(body) + len(option)
    if size > (TCP_LARGEST if tcp else _room(query)):
        flags, counts, body = flags | TC, (0, 0), b""
    header = HEADER.pack(query.identity, flags, 1, *counts, int(bool(option)))
    return header + query.question + body + option


def _room(query: Query) -> int:
    return UDP_WITHOUT_EDNS if query.option is None else query.option.room


def write_failure(query: Query, *, tcp: bool) -> bytes:
    """SERVFAIL: no answer for now."""
    return write_answer(query, Rcode.SERVFAIL, tcp=tcp)


def write_error(packet: bytes, rcode: Rcode) -> bytes:
    """The answer to a packet that is no readable query: its id, opcode and RD, with ``rcode``."""
    identity, flags, *_ = HEADER.unpack_from(packet)
    return HEADER.pack(identity, QR | (flags & (OPCODE_MASK | RD)) | rcode, 0, 0, 0, 0)
