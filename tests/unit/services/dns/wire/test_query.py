"""A question on its way to an upstream, and the message its answer goes back in."""

import random

import pytest
from dnslib import EDNS0, QTYPE, DNSLabel, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from services.dns.wire.query import Key, answer, ask_on, failed, read_query
from services.dns.zone.zone import Rcode
from tests.unit.services.dns.messages import asked, query


def test_question_is_read_with_what_its_answer_needs() -> None:
    found = read_query(asked("WWW.Example.org", "AAAA", size=4096, flags="do", cd=1))
    assert found is not None
    assert found.key == Key((b"www", b"example", b"org"), QTYPE.AAAA, True, True)
    assert (found.identity, found.recursive, found.edns, found.room) == (0x1234, True, True, 1232)
    assert found.question.startswith(b"\x03WWW\x07Example")
    assert found.host_name == "www.example.org"


def test_question_without_edns_has_room_for_512_octets() -> None:
    found = query("example.org")
    assert (found.edns, found.room, found.key.dnssec) == (False, 512, False)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        asked("example.org")[:11],
        asked("example.org")[:-1],
        asked("example.org", qr=1),
        asked("example.org", opcode=5),
        asked("example.org", "AXFR"),
        asked("example.org", "OPT"),
        asked("example.org", size=512)[:-1],
        bytes(DNSRecord(q=DNSQuestion("example.org", QTYPE.A, 3)).pack()),
        asked("example.org")[:4] + b"\0\2" + asked("example.org")[6:],
        asked("example.org")[:12] + b"\xc0\x0c\0\1\0\1",
    ],
    ids="empty header cut response opcode axfr opt cut-opt class two pointer".split(),
)
def test_what_is_no_plain_question_is_not_asked_on(packet: bytes) -> None:
    assert read_query(packet) is None


def test_other_version_of_edns_is_not_asked_on() -> None:
    record = DNSRecord(q=DNSQuestion("example.org"))
    record.add_ar(EDNS0(udp_len=512, version=1))
    assert read_query(bytes(record.pack())) is None


@pytest.mark.parametrize("label", [b"a.b", b"a b", b"\xff", b"a\0"])
def test_label_that_no_host_has_makes_no_host_name(label: bytes) -> None:
    packet = DNSRecord(q=DNSQuestion(DNSLabel([label, b"org"]))).pack()
    found = read_query(bytes(packet))
    assert found is not None
    assert found.host_name == ""


def test_question_is_asked_on_in_lower_case_with_an_id_of_its_own() -> None:
    found = query("ExAmple.org", "MX", size=512, flags="do")
    sent = DNSRecord.parse(ask_on(found.key, 0xABCD))
    assert (sent.header.id, sent.header.rd, sent.header.get_cd()) == (0xABCD, 1, 0)
    assert (str(sent.q.qname), QTYPE[sent.q.qtype]) == ("example.org.", "MX")
    assert (sent.ar[0].edns_len, sent.ar[0].edns_do) == (1232, 1)
    assert DNSRecord.parse(ask_on(found.key, 1, edns=False)).ar == []


BODY = b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\4\xc0\0\2\1"


def test_answer_has_the_askers_id_and_spelling() -> None:
    message = answer(query("WWW.example.org", size=1232), 0, (1, 0), BODY, tcp=False)
    read = DNSRecord.parse(message)
    assert (read.header.id, read.header.qr, read.header.aa, read.header.ra) == (0x1234, 1, 0, 1)
    assert read.rr[0].rname.label == (b"WWW", b"example", b"org")
    assert str(read.rr[0].rdata) == "192.0.2.1"
    assert read.ar[0].edns_len == 1232


def test_asker_without_edns_gets_none() -> None:
    assert DNSRecord.parse(answer(query("a.org"), 0, (1, 0), BODY, tcp=False)).ar == []


@pytest.mark.parametrize(
    ("size", "count", "tcp", "cut"),
    [(0, 30, False, False), (0, 40, False, True), (1232, 40, False, False), (0, 40, True, False)],
)
def test_answer_without_room_is_the_question_alone_with_tc_set(
    size: int, count: int, tcp: bool, cut: bool
) -> None:
    message = answer(query("a.org", size=size), 0, (count, 0), BODY * count, tcp=tcp)
    read = DNSRecord.parse(message)
    assert (read.header.tc, len(read.rr)) == (int(cut), 0 if cut else count)


def test_failure_is_servfail_with_the_question() -> None:
    read = DNSRecord.parse(failed(query("a.org"), tcp=False))
    assert (read.header.rcode, read.header.id, str(read.q.qname)) == (
        Rcode.SERVFAIL,
        0x1234,
        "a.org.",
    )


@given(st.binary(max_size=300))
def test_any_octets_are_a_query_or_none(packet: bytes) -> None:
    found = read_query(packet)
    assert found is None or packet[12:].startswith(found.question)


@given(st.integers(0, 2**32))
def test_a_query_with_changed_octets_never_breaks_it(seed: int) -> None:
    chance = random.Random(seed)
    packet = bytearray(asked("www.example.org", size=1232))
    for _ in range(chance.randint(1, 6)):
        packet[chance.randrange(len(packet))] = chance.randrange(256)
    found = read_query(bytes(packet))
    if found is not None:
        again = read_query(ask_on(found.key, 1))
        assert again is not None
        assert again.key == found.key
