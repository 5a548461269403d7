"""From a query's bytes to an answer's bytes. Pure; the only module that imports dnslib.

RFC 1035 messages, RFC 6891 (EDNS) sizes, RFC 2308 negative answers. The question is sent back
exactly as it came, mixed case included, since resolvers use that against forgery ("0x20").
"""

import struct

from dnslib import (
    AAAA,
    EDNS0,
    NS,
    PTR,
    RR,
    SOA,
    A,
    DNSHeader,
    DNSLabel,
    DNSQuestion,
    DNSRecord,
)

from services.dns.wire.format import (
    CLASS_ANY,
    CLASS_IN,
    HEADER,
    LABEL_LARGEST,
    NAME_LARGEST,
    OPCODE_MASK,
    QR,
    QUESTION_TAIL,
    RD,
    RECORD_HEAD,
    TCP_LARGEST,
    TRANSFERS,
    TYPE_OPT,
    TYPE_TSIG,
    UDP_LARGEST,
    UDP_WITHOUT_EDNS,
    Malformed,
    read_name,
    room_for,
)
from services.dns.zone.zone import (
    CONTACT,
    NAME_SERVER,
    TTL,
    Answer,
    Name,
    Rcode,
    Soa,
    Type,
    Value,
    Zone,
)


def respond(packet: bytes, zone: Zone, *, tcp: bool) -> bytes | None:
    """The answer to ``packet``, or None when it deserves none.

    Not answered: what is too short for a header, and what is itself a response, since two
    servers answering each other's errors never end. Everything else that cannot be read gets
    FORMERR.
    """
    if len(packet) < HEADER.size:
        return None
    _, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    if flags & QR:
        return None
    if flags & OPCODE_MASK:
        return _bare(packet, Rcode.NOTIMP)
    if questions != 1 or answers or authorities or additionals > 2:  # OPT and TSIG at most
        return _bare(packet, Rcode.FORMERR)
    query = _parse(packet) if _is_quickly_read(packet, additionals) else None
    return _bare(packet, Rcode.FORMERR) if query is None else _answer(query, zone, tcp)


def _is_quickly_read(packet: bytes, additionals: int) -> bool:
    """Whether it is no longer than a question gets, and what is added belongs to one: dnslib takes
    0.4 s for 64 KB of some record types, and everybody's names wait for that."""
    if len(packet) > UDP_LARGEST:
        return False
    try:
        at = read_name(packet, HEADER.size)[1] + QUESTION_TAIL.size
        for _ in range(additionals):
            head = read_name(packet, at)[1]
            kind, _, _, length = RECORD_HEAD.unpack_from(packet, head)
            at = head + RECORD_HEAD.size + length
            if kind not in (TYPE_OPT, TYPE_TSIG):
                return False
    except (Malformed, struct.error):
        return False
    return True


def _parse(packet: bytes) -> DNSRecord | None:
    """The query, or None where it is malformed, its name's lengths (RFC 1035 2.3.4) included:
    dnslib reads labels longer than it would write."""
    try:
        query = DNSRecord.parse(packet)
    except Exception:  # dnslib raises many types for foreign bytes; none may end the server
        return None
    labels = query.q.qname.label
    fits = sum(len(label) + 1 for label in labels) < NAME_LARGEST
    return query if fits and all(len(label) <= LABEL_LARGEST for label in labels) else None


def _bare(packet: bytes, rcode: Rcode) -> bytes:
    """A header alone: the query's id, opcode and RD, with ``rcode``."""
    identity, flags, *_ = HEADER.unpack_from(packet)
    return HEADER.pack(identity, QR | (flags & (OPCODE_MASK | RD)) | rcode, 0, 0, 0, 0)


def _answer(query: DNSRecord, zone: Zone, tcp: bool) -> bytes:
    options = [extra for extra in query.ar if extra.rtype == TYPE_OPT]
    if len(options) > 1:
        return fit(_reply(query, Answer(Rcode.FORMERR)), TCP_LARGEST)
    reply = _reply(query, _look_up(query.q, zone))
    if not options:
        return fit(reply, TCP_LARGEST if tcp else UDP_WITHOUT_EDNS)
    option = options[0]
    if option.edns_ver != 0:
        reply = _reply(query, Answer(Rcode.NOERROR))
        reply.header.aa = 0
        reply.add_ar(EDNS0(udp_len=UDP_LARGEST, ext_rcode=1))  # 16, BADVERS: RFC 6891 6.1.3
    else:
        reply.add_ar(EDNS0(udp_len=UDP_LARGEST))
    return fit(reply, TCP_LARGEST if tcp else room_for(option.edns_len))


def _look_up(question: DNSQuestion, zone: Zone) -> Answer:
    if question.qclass not in (CLASS_IN, CLASS_ANY) or question.qtype in TRANSFERS:
        return Answer(Rcode.REFUSED)
    labels = tuple(label.decode("ascii", "replace").lower() for label in question.qname.label)
    return zone.lookup(labels, question.qtype)


def _reply(query: DNSRecord, answer: Answer) -> DNSRecord:
    ours = answer.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN)
    header = DNSHeader(
        id=query.header.id,
        bitmap=0,
        qr=1,
        aa=int(ours),
        rd=query.header.rd,
        ra=0,
        rcode=int(answer.rcode),
    )
    reply = DNSRecord(header, q=query.q)
    for kind, value in answer.records:
        reply.add_answer(_record(query.q.qname, kind, value))
    if answer.authority:
        apex = _label(answer.authority.zone)
        reply.add_auth(_record(apex, Type.SOA, answer.authority))
    return reply


def _record(owner: DNSLabel, kind: Type, value: Value) -> RR:
    return RR(owner, int(kind), ttl=TTL, rdata=_data(kind, value))


def _data(kind: Type, value: Value) -> A | AAAA | NS | PTR | SOA:
    if isinstance(value, Soa):
        times = (value.serial, 3600, 1200, 604800, TTL)  # RFC 6303 section 3, but for the TTL
        return SOA(_label(NAME_SERVER), _label(CONTACT), times)
    if isinstance(value, tuple):
        return PTR(_label(value)) if kind is Type.PTR else NS(_label(value))
    return A(str(value)) if kind is Type.A else AAAA(str(value))


def _label(name: Name) -> DNSLabel:
    return DNSLabel([label.encode() for label in name])


def fit(reply: DNSRecord, room: int) -> bytes:
    """The bytes, or where they are more than ``room`` the question alone with TC set: the
    client then asks again by TCP (RFC 7766)."""
    packed = bytes(reply.pack())
    if len(packed) <= room:
        return packed
    short = DNSRecord(reply.header, q=reply.q)
    short.header.tc = 1
    for extra in reply.ar:
        short.add_ar(extra)
    return bytes(short.pack())
