"""Messages for tests, written by dnslib: an implementation that banger's own does not share."""

from dnslib import EDNS0, QTYPE, RR, SOA, DNSHeader, DNSQuestion, DNSRecord

from services.dns.wire.query import Query, QuestionKey, read_query


def asked(name: str, kind: str = "A", *, size: int = 0, flags: str = "", **header: int) -> bytes:
    """A query; with EDNS where ``size`` is given."""
    bits = {"id": 0x1234, "rd": 1, **header}
    record = DNSRecord(DNSHeader(**bits), q=DNSQuestion(name, getattr(QTYPE, kind)))
    if size:
        record.add_ar(EDNS0(udp_len=size, flags=flags))
    return bytes(record.pack())


def query(name: str, kind: str = "A", *, size: int = 0, flags: str = "") -> Query:
    found = read_query(asked(name, kind, size=size, flags=flags))
    assert isinstance(found, Query)
    return found


def key(name: str, kind: str = "A") -> QuestionKey:
    return query(name, kind).key


def replied(
    name: str,
    kind: str = "A",
    *answers: str,
    soa: tuple[int, int] | None = None,
    identity: int = 7,
    **header: int,
) -> DNSRecord:
    """A reply with ``answers`` in zone file form; ``soa``: (TTL, minimum)."""
    bits = {"id": identity, "qr": 1, "aa": 0, "ra": 1, **header}
    record = DNSRecord(DNSHeader(bitmap=0, **bits), q=DNSQuestion(name, getattr(QTYPE, kind)))
    for answer in answers:
        record.add_answer(*RR.fromZone(answer))
    if soa is not None:
        times = (1, 3600, 600, 86400, soa[1])
        data = SOA("ns.example.org", "root.example.org", times)
        record.add_auth(RR("example.org", QTYPE.SOA, ttl=soa[0], rdata=data))
    return record
