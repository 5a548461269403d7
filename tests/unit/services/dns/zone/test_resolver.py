"""Bytes in, bytes out: headers, EDNS sizes, truncation, and packets that are not queries."""

import random
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from dnslib import EDNS0, QTYPE, RR, TXT, A, DNSHeader, DNSLabel, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from services.dns.wire.format import TCP_LARGEST, UDP_LARGEST
from services.dns.zone.resolver import fit, respond
from services.dns.zone.zone import Rcode, Zone

ZONE = Zone(
    {
        "beta": [IPv4Address("127.77.0.2")],
        "gamma": [IPv4Address("10.77.0.9"), IPv6Address("fd00::9")],
    },
    [IPv4Network("127.77.0.0/16"), IPv6Network("fd00::/64")],
    serial=7,
)
LONG_NAME = ".".join(["a" * 63, "b" * 63, "c" * 63, "vm"])


def ask(packet: bytes, *, tcp: bool = False) -> DNSRecord:
    answer = respond(packet, ZONE, tcp=tcp)
    assert answer is not None
    return DNSRecord.parse(answer)


def query(name: str, kind: str = "A", **header: int) -> DNSRecord:
    return DNSRecord(DNSHeader(id=0x1234, **header), q=DNSQuestion(name, getattr(QTYPE, kind)))


def test_answer_carries_id_question_authority_and_recursion_wish() -> None:
    reply = ask(query("beta.vm", rd=1).pack())
    header = reply.header
    assert (header.id, header.qr, header.aa, header.rd, header.ra) == (0x1234, 1, 1, 1, 0)
    assert str(reply.rr[0].rdata) == "127.77.0.2"
    assert reply.rr[0].ttl == 1


def test_mixed_case_of_the_question_comes_back_as_it_was_sent() -> None:
    sent = query("BeTA.vM").pack()
    answer = respond(sent, ZONE, tcp=False)
    assert answer is not None
    assert b"\x04BeTA\x02vM\x00" in answer
    assert DNSRecord.parse(answer).rr[0].rname.label == (b"BeTA", b"vM")


def test_negative_answer_carries_the_soa_with_the_stores_sequence_number() -> None:
    reply = ask(query("nobody.vm").pack())
    assert reply.header.rcode == Rcode.NXDOMAIN
    assert QTYPE[reply.auth[0].rtype] == "SOA"
    assert reply.auth[0].rdata.times[0] == 7


def test_reverse_lookup_names_the_vm() -> None:
    assert str(ask(query("2.0.77.127.in-addr.arpa", "PTR").pack()).rr[0].rdata) == "beta.vm."


def test_ipv6_address_is_answered_and_leads_back() -> None:
    assert str(ask(query("gamma.vm", "AAAA").pack()).rr[0].rdata) == "fd00::9"
    back = ask(query(IPv6Address("fd00::9").reverse_pointer, "PTR").pack())
    assert str(back.rr[0].rdata) == "gamma.vm."


def test_any_has_one_answer() -> None:
    assert [QTYPE[record.rtype] for record in ask(query("gamma.vm", "ANY").pack()).rr] == ["A"]


def test_name_outside_is_refused_without_claiming_authority() -> None:
    reply = ask(query("example.org").pack())
    assert (reply.header.rcode, reply.header.aa) == (Rcode.REFUSED, 0)


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_zone_transfer_is_refused(kind: str) -> None:
    assert ask(query("vm", kind).pack(), tcp=True).header.rcode == Rcode.REFUSED


def test_class_other_than_internet_is_refused() -> None:
    packet = DNSRecord(q=DNSQuestion("beta.vm", QTYPE.A, 3)).pack()
    assert ask(packet).header.rcode == Rcode.REFUSED


def test_opcode_other_than_query_is_not_implemented() -> None:
    header = ask(query("beta.vm", opcode=5).pack()).header
    assert (header.rcode, header.opcode) == (Rcode.NOTIMP, 5)


def test_label_with_a_dot_inside_is_not_two_labels() -> None:
    packet = DNSRecord(q=DNSQuestion(DNSLabel([b"beta.vm"]))).pack()
    assert ask(packet).header.rcode == Rcode.REFUSED


def with_edns(size: int, version: int = 0) -> DNSRecord:
    record = query("beta.vm")
    record.add_ar(EDNS0(udp_len=size, version=version))
    return record


def test_edns_is_answered_with_edns_and_our_own_size() -> None:
    (option,) = ask(with_edns(4096).pack()).ar
    assert option.edns_len == UDP_LARGEST


def test_query_without_edns_gets_none() -> None:
    assert ask(query("beta.vm").pack()).ar == []


def test_unknown_edns_version_is_bad_version_with_no_data() -> None:
    reply = ask(with_edns(4096, version=1).pack())
    assert (reply.header.rcode, reply.ar[0].edns_rcode, reply.rr) == (0, 1, [])


def test_two_edns_options_are_malformed() -> None:
    record = with_edns(4096)
    record.add_ar(EDNS0(udp_len=512))
    assert ask(record.pack()).header.rcode == Rcode.FORMERR


def long_reply() -> DNSRecord:
    reply = query("beta.vm").reply()
    for octet in range(100):
        reply.add_answer(RR("beta.vm", QTYPE.A, rdata=A(f"127.77.0.{octet}")))
    reply.add_ar(EDNS0(udp_len=UDP_LARGEST))
    return reply


def test_answer_without_room_is_cut_to_its_question_and_edns_with_tc_set() -> None:
    cut = DNSRecord.parse(fit(long_reply(), 512))
    assert (cut.header.tc, cut.header.id, len(cut.rr), len(cut.ar)) == (1, 0x1234, 0, 1)
    assert cut.q == long_reply().q


def test_answer_with_room_is_whole() -> None:
    whole = DNSRecord.parse(fit(long_reply(), TCP_LARGEST))
    assert (whole.header.tc, len(whole.rr)) == (0, 100)


@pytest.mark.parametrize("tcp", [False, True])
def test_negative_answer_to_the_longest_name_fits_the_smallest_packet(tcp: bool) -> None:
    answer = respond(query(LONG_NAME).pack(), ZONE, tcp=tcp)
    assert answer is not None
    assert len(answer) <= 512


def test_too_short_for_a_header_is_not_answered() -> None:
    assert respond(query("beta.vm").pack()[:11], ZONE, tcp=False) is None


def test_response_is_never_answered() -> None:
    assert respond(query("beta.vm", qr=1).pack(), ZONE, tcp=False) is None


@pytest.mark.parametrize(
    "packet",
    [
        struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0),
        struct.pack("!HHHHHH", 0x1234, 0x0100, 0, 0, 0, 0),
        struct.pack("!HHHHHH", 0x1234, 0x0100, 65535, 65535, 65535, 65535),
        struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c\x00\x01\x00\x01",
        struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + b"\x40" + b"a" * 64 + b"\0\0\1\0\1",
        struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + b"\x3f" + b"a" * 20,
        struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0)
        + (b"\x3f" + b"a" * 63) * 4
        + b"\0\0\1\0\1",
    ],
    ids=["no-question", "zero", "counts", "pointer-loop", "label-64", "cut-label", "name-256"],
)
def test_malformed_query_gets_its_id_back_and_formerr(packet: bytes) -> None:
    answer = respond(packet, ZONE, tcp=False)
    assert answer == struct.pack("!HHHHHH", 0x1234, 0x8101, 0, 0, 0, 0)


def test_query_that_brings_answers_along_is_malformed() -> None:
    record = query("beta.vm")
    record.add_answer(RR("beta.vm", QTYPE.TXT, rdata=TXT("x")))
    assert ask(record.pack()).header.rcode == Rcode.FORMERR


@given(st.binary(max_size=600))
def test_any_bytes_are_dropped_or_answered_as_a_response(packet: bytes) -> None:
    answer = respond(packet, ZONE, tcp=False)
    assert answer is None or (answer[:2] == packet[:2] and answer[2] & 0x80)


@given(st.integers(0, 2**32))
def test_a_query_with_flipped_bits_never_breaks_the_resolver(seed: int) -> None:
    chance = random.Random(seed)
    packet = bytearray(with_edns(1232).pack())
    for _ in range(chance.randint(1, 6)):
        packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
    answer = respond(bytes(packet), ZONE, tcp=False)
    assert answer is None or len(answer) <= UDP_LARGEST


def added(*records: tuple[int, bytes]) -> bytes:
    """A question for beta.vm with these (type, data) as additional records."""
    question = query("beta.vm").pack()
    head = question[:10] + struct.pack("!H", len(records))
    tail = (b"\0" + struct.pack("!HHIH", kind, 255, 0, len(data)) + data for kind, data in records)
    return bytes(head + question[12:] + b"".join(tail))


@pytest.mark.parametrize(
    ("records", "rcode"),
    [
        ([(41, b"")], Rcode.NOERROR),
        ([(41, b"\0\x0c\0\x80" + bytes(128))], Rcode.NOERROR),  # padded, RFC 8467
        ([(41, b""), (250, bytes(80))], Rcode.NOERROR),
        ([(47, b"\0" + b"\0\x20" + bytes(32))], Rcode.FORMERR),
        ([(41, b"\0\x0a\0\0" * 15000)], Rcode.FORMERR),
        ([(41, b""), (16, b"\x01a")], Rcode.FORMERR),
    ],
)
def test_what_takes_long_to_read_is_not_read(
    records: list[tuple[int, bytes]], rcode: Rcode
) -> None:
    """One guest's questions of 64 KB would take all of our time."""
    assert ask(added(*records), tcp=True).header.rcode == rcode
