"""Replies of upstreams: which are accepted, how long they are valid, what is in them."""

import random
from ipaddress import IPv4Address

import pytest
from dnslib import EDNS0, QTYPE, RR, A, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from services.dns.wire.format import Rcode
from services.dns.wire.query import write_answer
from services.dns.wire.reply import (
    NEGATIVE_LARGEST,
    TTL_LARGEST,
    Reply,
    UnusableReply,
    address_of,
    alias_chain,
    read_reply,
    write_records,
)
from tests.unit.services.dns.messages import key, query, replied

NAME = "www.example.org"
CHAIN = (
    "www.example.org 60 IN CNAME edge.example.net",
    "edge.example.net 50 IN CNAME node.example.com",
    "node.example.com 40 IN A 192.0.2.1",
    "node.example.com 40 IN A 192.0.2.2",
    "other.example.com 40 IN A 192.0.2.3",
)


def read(record: DNSRecord, kind: str = "A") -> Reply | UnusableReply | None:
    return read_reply(bytes(record.pack()), key(NAME, kind), 7)


def good(record: DNSRecord, kind: str = "A") -> Reply:
    found = read(record, kind)
    assert isinstance(found, Reply)
    return found


def test_answer_goes_on_as_it_came_under_the_askers_id() -> None:
    found = good(replied(NAME, "A", *CHAIN))
    sent = write_answer(
        query("WWW.example.org", size=1232), found.rcode, found.counts, found.body, tcp=False
    )
    assert DNSRecord.parse(sent).rr == replied(NAME, "A", *CHAIN).rr


def test_ttls_are_counted_down_to_nothing() -> None:
    found = good(replied(NAME, "A", *CHAIN))
    sent = write_answer(query(NAME), 0, found.counts, found.aged(45), tcp=False)
    assert [record.ttl for record in DNSRecord.parse(sent).rr] == [15, 5, 0, 0, 0]


def test_message_that_is_no_answer_to_us_is_not_believed() -> None:
    assert read(replied(NAME, "A", CHAIN[0], identity=8)) is None
    assert read(replied(NAME, "A", CHAIN[0], qr=0)) is None


def test_answer_to_another_question_is_not_believed() -> None:
    assert read(replied("evil.example.org", "A")) is None
    assert read(replied(NAME, "AAAA")) is None


def test_question_in_another_case_is_the_same_one() -> None:
    assert isinstance(read(replied("WWW.EXAMPLE.ORG", "A")), Reply)


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED, 9])
def test_failure_is_no_answer(rcode: int) -> None:
    assert read(replied(NAME, "A", rcode=rcode)) == UnusableReply(rcode)


def test_truncated_answer_is_to_be_asked_for_again() -> None:
    assert read(replied(NAME, "A", CHAIN[2], tc=1)) == UnusableReply(0, truncated=True)


def test_upper_bits_of_the_result_code_are_a_failure() -> None:
    record = replied(NAME, "A")
    record.add_ar(EDNS0(udp_len=1232, ext_rcode=1))
    assert read(record) == UnusableReply(0)


def test_server_that_does_not_know_edns_may_leave_the_question_out() -> None:
    record = DNSRecord(replied(NAME, "A", rcode=Rcode.FORMERR).header)
    assert read(record) == UnusableReply(Rcode.FORMERR)


def test_additional_records_do_not_go_on() -> None:
    record = replied(NAME, "A", CHAIN[2])
    record.add_ar(RR("ns.example.org", QTYPE.A, rdata=A("192.0.2.53")))
    found = good(record)
    sent = DNSRecord.parse(write_answer(query(NAME), 0, found.counts, found.body, tcp=False))
    assert (len(sent.rr), sent.ar) == (1, [])


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        (replied(NAME, "A", *CHAIN[:4]), 40),
        (replied(NAME, "A", "www.example.org 0 IN A 192.0.2.1"), 0),
        (replied(NAME, "A", "www.example.org 900000 IN A 192.0.2.1"), TTL_LARGEST),
        (replied(NAME, "A", "www.example.org 4294967295 IN A 192.0.2.1"), 0),
        (replied(NAME, "A", rcode=3, soa=(100, 50)), 50),
        (replied(NAME, "A", rcode=3, soa=(20, 50)), 20),
        (replied(NAME, "A", soa=(9999, 9999)), NEGATIVE_LARGEST),
        (replied(NAME, "A", CHAIN[0], soa=(100, 100)), 60),
        (replied(NAME, "A"), 0),
        (replied(NAME, "A", CHAIN[0]), 0),
    ],
    ids="chain zero capped negative nxdomain soa-ttl nodata alias no-soa dangling".split(),
)
def test_answer_holds_as_long_as_its_shortest_part(record: DNSRecord, seconds: int) -> None:
    assert good(record).lifetime == seconds


def test_addresses_are_those_at_the_end_of_the_aliases() -> None:
    found = alias_chain(good(replied(NAME, "A", *CHAIN)), key(NAME).name)
    addresses = [address_of(record) for record in found]
    assert addresses == [None, None, IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")]


def test_aliases_in_a_circle_lead_nowhere() -> None:
    circle = ("www.example.org 60 IN CNAME b.org", "b.org 60 IN CNAME www.example.org")
    found = alias_chain(good(replied(NAME, "A", *circle)), key(NAME).name)
    assert [address_of(record) for record in found] == [None, None]


def test_records_are_written_again_so_that_another_hand_reads_the_same() -> None:
    found = alias_chain(good(replied(NAME, "A", *CHAIN)), key(NAME).name)
    sent = write_answer(query(NAME), 0, (len(found), 0), write_records(found, 10), tcp=False)
    records = DNSRecord.parse(sent).rr
    assert records == replied(NAME, "A", *CHAIN[:4]).rr
    assert [record.ttl for record in records] == [50, 40, 30, 30]


def test_message_with_thousands_of_records_is_no_answer() -> None:
    packet = bytearray(replied(NAME, "A", CHAIN[2]).pack())
    packet[6:8] = (1001).to_bytes(2)
    assert read_reply(bytes(packet), key(NAME), 7) == UnusableReply(0)


def test_record_of_another_class_spoils_the_message() -> None:
    record = replied(NAME, "A")
    record.add_answer(RR(NAME, QTYPE.A, 3, 60, A("192.0.2.1")))
    assert read(record) is None


@given(st.binary(max_size=400))
def test_any_octets_are_an_answer_or_none(tail: bytes) -> None:
    head = bytes(replied(NAME, "A").pack())
    read_reply(tail, key(NAME), 7)
    read_reply(head[:6] + tail, key(NAME), 7)
    read_reply(head + tail, key(NAME), 7)


@given(st.integers(0, 2**32))
def test_an_answer_with_changed_octets_never_breaks_it(seed: int) -> None:
    chance = random.Random(seed)
    packet = bytearray(replied(NAME, "A", *CHAIN, soa=(60, 60)).pack())
    for _ in range(chance.randint(1, 8)):
        packet[chance.randrange(len(packet))] = chance.randrange(256)
    found = read_reply(bytes(packet), key(NAME), 7)
    if isinstance(found, Reply):
        found.aged(30)
        write_records(alias_chain(found, key(NAME).name), 30)
