"""Replies of upstreams: read, and accepted only if they answer the question. Pure.

The octets of a reply go on as they came. Only what banger decides by is read.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.dns.wire.format import (
    CLASS_IN,
    HEADER,
    QR,
    QUESTION_TAIL,
    RCODE_MASK,
    RECORD_HEAD,
    TC,
    Labels,
    Malformed,
    Rcode,
    Type,
    read_name,
    write_name,
    write_record,
)
from services.dns.wire.query import QuestionKey

TTL_LARGEST = 3600
"""Seconds that an answer is kept at most, whatever the upstream says."""

NEGATIVE_LARGEST = 300
"""The same for a negative answer. It is shorter, because a missing name is often about to exist."""

RECORDS_MOST = 1000
"""Records in one message. Usual ones have tens; 4000 would fit, and block the loop for 0.2 s."""

_IPV4_OCTETS = 4
_TTL = struct.Struct("!I")
_SOA_MINIMUM = 4
"""Octets of MINIMUM, at the end of its data (RFC 1035 section 3.3.13)."""
_TTL_OFFSET = 4
"""Of the TTL in RECORD_HEAD."""


@dataclass(frozen=True, slots=True)
class ReplyRecord:
    """One record. ``data`` as on the wire, the name in a CNAME's uncompressed."""

    owner: Labels
    kind: int
    ttl: int
    ttl_at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """The answers and authorities as they came. Additional records are left out."""

    rcode: int
    records: tuple[ReplyRecord, ...]
    """The answers."""
    counts: tuple[int, int]
    body: bytes
    ttls: tuple[tuple[int, int], ...]
    """(offset in ``body``, seconds) of every record."""
    lifetime: int
    """Seconds that it may be kept; 0: not at all (RFC 2308, RFC 2181 section 8)."""

    def aged(self, seconds: int) -> bytes:
        """``body`` with every TTL counted down."""
        body = bytearray(self.body)
        for at, ttl in self.ttls:
            _TTL.pack_into(body, at, max(0, ttl - seconds))
        return bytes(body)


@dataclass(frozen=True, slots=True)
class UnusableReply:
    """A reply to the question without an answer: ``truncated``, or ``rcode`` is a failure."""

    rcode: int
    truncated: bool = False


def read_reply(packet: bytes, key: QuestionKey, identity: int) -> Reply | UnusableReply | None:
    """The reply; None for a packet that does not answer this question or cannot be read, which is
    ignored."""
    try:
        return _read_reply(packet, key, identity)
    except (Malformed, struct.error):
        return None


def _read_reply(packet: bytes, key: QuestionKey, identity: int) -> Reply | UnusableReply | None:
    their_id, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    rcode = flags & RCODE_MASK
    if their_id != identity or not flags & QR:
        return None
    if questions == 0 and rcode in (Rcode.FORMERR, Rcode.NOTIMP):
        return UnusableReply(rcode)  # how a server from before EDNS rejects it
    name, at = read_name(packet, HEADER.size)
    start = at + QUESTION_TAIL.size
    if questions != 1 or (name, *QUESTION_TAIL.unpack_from(packet, at)) != (
        key.name,
        key.kind,
        CLASS_IN,
    ):
        return None
    if flags & TC:
        return UnusableReply(rcode, truncated=True)
    if answers + authorities + additionals > RECORDS_MOST:
        return UnusableReply(rcode)
    records, at = _read_records(packet, start, answers)
    authority, end = _read_records(packet, at, authorities)
    extended = _extended_rcode(_read_records(packet, end, additionals)[0])
    if extended or rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
        return UnusableReply(rcode)
    everything = [*records, *authority]
    return Reply(
        rcode=rcode,
        records=tuple(records),
        counts=(answers, authorities),
        body=packet[start:end],
        ttls=tuple((record.ttl_at - start, record.ttl) for record in everything),
        lifetime=_lifetime(key, rcode, records, authority),
    )


def _read_records(packet: bytes, at: int, count: int) -> tuple[list[ReplyRecord], int]:
    found: list[ReplyRecord] = []
    known: dict[bytes, Labels] = {}
    for _ in range(count):
        owner, head = _read_owner(packet, at, known)
        kind, klass, ttl, length = RECORD_HEAD.unpack_from(packet, head)
        start = head + RECORD_HEAD.size
        at = start + length
        if at > len(packet) or (klass != CLASS_IN and kind != Type.OPT):
            raise Malformed("a record that is cut off, or of another class")
        data = packet[start:at]
        if kind == Type.CNAME:
            data = write_name(read_name(packet, start)[0])
        kept = ttl if kind == Type.OPT else _limited(ttl)
        found.append(ReplyRecord(owner, kind, kept, head + _TTL_OFFSET, data))
    return found, at


def _read_owner(packet: bytes, at: int, known: dict[bytes, Labels]) -> tuple[Labels, int]:
    """As ``read_name``, but one long owner of thousands of records is read only once."""
    pointer = packet[at : at + 2]
    if pointer in known:
        return known[pointer], at + 2
    owner, end = read_name(packet, at)
    if end == at + len(pointer):  # no other name is two octets long
        known[pointer] = owner
    return owner, end


def _limited(ttl: int) -> int:
    return 0 if ttl >= 2**31 else min(ttl, TTL_LARGEST)  # RFC 2181 section 8


def _extended_rcode(additional: list[ReplyRecord]) -> int:
    """The upper bits of the result code (RFC 6891 section 6.1.3). Any that is set is a failure."""
    return next((record.ttl >> 24 for record in additional if record.kind == Type.OPT), 0)


def _lifetime(
    key: QuestionKey, rcode: int, records: list[ReplyRecord], authority: list[ReplyRecord]
) -> int:
    positive = rcode == Rcode.NOERROR and any(
        key.kind in (record.kind, Type.ANY) for record in records
    )
    if positive:
        return min(record.ttl for record in records)
    soa = next((record for record in authority if record.kind == Type.SOA), None)
    if soa is None or len(soa.data) < _SOA_MINIMUM:
        return 0
    minimum = int.from_bytes(soa.data[-_SOA_MINIMUM:])
    return min(NEGATIVE_LARGEST, minimum, soa.ttl, *(record.ttl for record in records))


def alias_chain(reply: Reply, name: Labels) -> list[ReplyRecord]:
    """The CNAME records from ``name`` on, then the addresses at their end (RFC 1034 3.6.2)."""
    aliases = {record.owner: record for record in reply.records if record.kind == Type.CNAME}
    links: list[ReplyRecord] = []
    while (alias := aliases.pop(name, None)) is not None:
        links.append(alias)
        name = read_name(alias.data, 0)[0]
    return links + [r for r in reply.records if r.owner == name and address_of(r) is not None]


def address_of(record: ReplyRecord) -> IPv4Address | None:
    if record.kind != Type.A or len(record.data) != _IPV4_OCTETS:
        return None
    return IPv4Address(record.data)


def write_records(records: Sequence[ReplyRecord], age: int) -> bytes:
    """``records`` on the wire, their TTLs counted down by ``age`` seconds."""
    return b"".join(
        write_record(write_name(record.owner), record.kind, max(0, record.ttl - age), record.data)
        for record in records
    )
