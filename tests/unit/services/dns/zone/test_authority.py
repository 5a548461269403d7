"""Answers from the zone, read by dnslib."""

import random
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from dnslib import CLASS, EDNS0, QTYPE, DNSLabel, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from services.dns.answers import ZoneResponder
from services.dns.wire.format import UDP_LARGEST, Rcode
from services.dns.zone.zone import Soa, Value, Zone
from tests.unit.services.dns.messages import asked

ZONE = Zone(
    {
        "beta": [IPv4Address("127.77.0.2")],
        "gamma": [IPv4Address("10.77.0.9"), IPv6Address("fd00::9")],
    },
    [IPv4Network("127.77.0.0/16"), IPv6Network("fd00::/64")],
    serial=7,
)
LONG_NAME = ".".join(["a" * 63, "b" * 63, "c" * 63, "vm"])


def respond(packet: bytes, *, tcp: bool = False, zone: Zone = ZONE) -> bytes:
    answer = ZoneResponder(zone).answer(packet, tcp=tcp)
    assert answer is not None
    return answer


def ask(packet: bytes, *, tcp: bool = False, zone: Zone = ZONE) -> DNSRecord:
    return DNSRecord.parse(respond(packet, tcp=tcp, zone=zone))


def test_answer_carries_id_question_authority_and_recursion_wish() -> None:
    reply = ask(asked("beta.vm"))
    header = reply.header
    assert (header.id, header.qr, header.aa, header.rd, header.ra) == (0x1234, 1, 1, 1, 0)
    assert str(reply.rr[0].rdata) == "127.77.0.2"
    assert reply.rr[0].ttl == 1


def test_mixed_case_of_the_question_comes_back_as_it_was_sent() -> None:
    answer = respond(asked("BeTA.vM"))
    assert b"\x04BeTA\x02vM\x00" in answer
    assert DNSRecord.parse(answer).rr[0].rname.label == (b"BeTA", b"vM")


def test_negative_answer_carries_the_soa_with_the_stores_sequence_number() -> None:
    reply = ask(asked("nobody.vm"))
    assert reply.header.rcode == Rcode.NXDOMAIN
    assert QTYPE[reply.auth[0].rtype] == "SOA"
    assert reply.auth[0].rdata.times == (7, 3600, 1200, 604800, 1)
    assert (str(reply.auth[0].rname), str(reply.auth[0].rdata.mname)) == ("vm.", "localhost.")


def test_reverse_lookup_names_the_vm() -> None:
    assert str(ask(asked("2.0.77.127.in-addr.arpa", "PTR")).rr[0].rdata) == "beta.vm."


def test_ipv6_address_is_answered_and_leads_back() -> None:
    assert str(ask(asked("gamma.vm", "AAAA")).rr[0].rdata) == "fd00::9"
    back = ask(asked(IPv6Address("fd00::9").reverse_pointer, "PTR"))
    assert str(back.rr[0].rdata) == "gamma.vm."


def test_any_has_one_answer() -> None:
    assert [QTYPE[record.rtype] for record in ask(asked("gamma.vm", "ANY")).rr] == ["A"]


def test_name_outside_is_refused_without_claiming_authority() -> None:
    reply = ask(asked("example.org"))
    assert (reply.header.rcode, reply.header.aa) == (Rcode.REFUSED, 0)


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_zone_transfer_is_refused(kind: str) -> None:
    assert ask(asked("vm", kind), tcp=True).header.rcode == Rcode.REFUSED


def test_class_other_than_internet_is_refused() -> None:
    packet = bytes(DNSRecord(q=DNSQuestion("beta.vm", QTYPE.A, 3)).pack())
    assert ask(packet).header.rcode == Rcode.REFUSED


def test_class_any_is_answered() -> None:
    packet = bytes(DNSRecord(q=DNSQuestion("beta.vm", QTYPE.A, 255)).pack())
    (record,) = ask(packet).rr
    assert (CLASS[record.rclass], str(record.rdata)) == ("IN", "127.77.0.2")


def test_opcode_other_than_query_is_not_implemented() -> None:
    header = ask(asked("beta.vm", opcode=5)).header
    assert (header.rcode, header.opcode) == (Rcode.NOTIMP, 5)


def test_label_with_a_dot_inside_is_not_two_labels() -> None:
    packet = bytes(DNSRecord(q=DNSQuestion(DNSLabel([b"beta.vm"]))).pack())
    assert ask(packet).header.rcode == Rcode.REFUSED


def test_edns_is_answered_with_edns_and_the_servers_own_size() -> None:
    (option,) = ask(asked("beta.vm", size=4096)).ar
    assert option.edns_len == UDP_LARGEST


def test_question_without_edns_gets_none() -> None:
    assert ask(asked("beta.vm")).ar == []


@pytest.mark.parametrize("name", ["beta.vm", "example.org"])
def test_unknown_edns_version_is_bad_version_with_no_data(name: str) -> None:
    record = DNSRecord(q=DNSQuestion(name))
    record.add_ar(EDNS0(udp_len=4096, version=1))
    reply = ask(bytes(record.pack()))
    assert (reply.header.rcode, reply.ar[0].edns_rcode, reply.rr) == (0, 1, [])
    assert reply.header.aa == 0


def test_answer_without_room_is_cut_to_its_question_and_edns_with_tc_set() -> None:
    many = Zone({"beta": [IPv4Address(f"127.77.0.{n}") for n in range(100)]}, [], serial=1)
    cut = ask(asked("beta.vm", size=512), zone=many)
    assert (cut.header.tc, cut.header.aa, len(cut.rr), len(cut.ar)) == (1, 1, 0, 1)
    whole = ask(asked("beta.vm", size=512), tcp=True, zone=many)
    assert (whole.header.tc, len(whole.rr)) == (0, 100)


@pytest.mark.parametrize("tcp", [False, True])
def test_negative_answer_to_the_longest_name_fits_the_smallest_packet(tcp: bool) -> None:
    assert len(respond(asked(LONG_NAME), tcp=tcp)) <= 512


LABELS = st.sampled_from(["beta", "gamma", "vm", "2", "0", "77", "127", "in-addr", "arpa", "x"])


@given(st.lists(LABELS, min_size=1, max_size=7), st.sampled_from(["A", "AAAA", "PTR", "SOA", "NS"]))
def test_dnslib_reads_in_every_answer_what_the_zone_says(labels: list[str], kind: str) -> None:
    found = ZONE.lookup(tuple(labels), getattr(QTYPE, kind))
    reply = ask(asked(".".join(labels), kind))
    assert reply.header.rcode == found.rcode
    assert [(r.rtype, read_back(r)) for r in reply.rr] == [
        (int(each), value) for each, value in found.records
    ]
    assert [read_back(r) for r in reply.auth] == ([found.authority] if found.authority else [])
    assert {r.ttl for r in reply.rr + reply.auth} <= {1}


def read_back(record: object) -> Value:
    data, owner = record.rdata, record.rname  # type: ignore[attr-defined]
    match type(data).__name__:
        case "A":
            return IPv4Address(str(data))
        case "AAAA":
            return IPv6Address(str(data))
        case "SOA":
            return Soa(tuple(str(owner).rstrip(".").split(".")), data.times[0])
        case _:
            return tuple(str(data.label).rstrip(".").split("."))


@given(st.binary(max_size=600))
def test_any_bytes_are_dropped_or_answered_as_a_response(packet: bytes) -> None:
    answer = ZoneResponder(ZONE).answer(packet, tcp=False)
    assert answer is None or (answer[:2] == packet[:2] and answer[2] & 0x80)


@given(st.integers(0, 2**32))
def test_a_query_with_flipped_bits_never_breaks_the_server(seed: int) -> None:
    chance = random.Random(seed)
    packet = bytearray(asked("beta.vm", size=1232))
    for _ in range(chance.randint(1, 6)):
        packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
    answer = ZoneResponder(ZONE).answer(bytes(packet), tcp=False)
    assert answer is None or len(answer) <= UDP_LARGEST
