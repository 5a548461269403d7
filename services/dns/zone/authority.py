"""Answers from the zone, as octets. Pure.

RFC 1035 messages, RFC 2308 negative answers, RFC 6891 versions of EDNS.
"""

import struct

from services.dns.wire.format import (
    AA,
    CLASS_ANY,
    CLASS_IN,
    QUESTION_OWNER,
    Labels,
    Rcode,
    Type,
    write_name,
    write_record,
)
from services.dns.wire.query import Query, write_answer
from services.dns.zone.zone import CONTACT, NAME_SERVER, TTL, Name, Soa, Value, Zone

TRANSFERS = (Type.IXFR, Type.AXFR)
"""Nobody gets a copy of the zone."""

_SOA_TIMES = struct.Struct("!IIIII")
_REFRESH, _RETRY, _EXPIRE = 3600, 1200, 604800
"""RFC 6303 section 3."""


def answer_from(zone: Zone, query: Query, *, tcp: bool) -> bytes:
    """The answer of the zone's own server; REFUSED for names outside it."""
    if query.option is not None and query.option.version != 0:
        return write_answer(query, Rcode.BADVERS, tcp=tcp, flags=0)
    if query.klass not in (CLASS_IN, CLASS_ANY) or query.kind in TRANSFERS:
        return write_answer(query, Rcode.REFUSED, tcp=tcp, flags=0)
    found = zone.lookup(text_name(query.name), query.kind)
    body = b"".join(
        write_record(QUESTION_OWNER, kind, TTL, _data(value)) for kind, value in found.records
    )
    if found.authority is not None:
        apex = _wire_name(found.authority.zone)
        body += write_record(apex, Type.SOA, TTL, _data(found.authority))
    counts = (len(found.records), int(found.authority is not None))
    flags = 0 if found.rcode is Rcode.REFUSED else AA
    return write_answer(query, found.rcode, counts, body, tcp=tcp, flags=flags)


def text_name(labels: Labels) -> Name:
    """A name of the wire as the zone has it. Octets that no host name has never match there."""
    return tuple(label.decode("ascii", "replace") for label in labels)


def _wire_name(name: Name) -> bytes:
    return write_name(tuple(label.encode() for label in name))


def _data(value: Value) -> bytes:
    if isinstance(value, Soa):
        times = _SOA_TIMES.pack(value.serial, _REFRESH, _RETRY, _EXPIRE, TTL)
        return _wire_name(NAME_SERVER) + _wire_name(CONTACT) + times
    return _wire_name(value) if isinstance(value, tuple) else value.packed
