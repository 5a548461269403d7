"""Questions of clients, and the messages that their answers go back in."""

import random
import struct

import pytest
from dnslib import EDNS0, QTYPE, RR, TXT, DNSError, DNSLabel, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from services.dns.wire.format import UDP_LARGEST, Rcode
from services.dns.wire.query import (
    Option,
    Query,
    QuestionKey,
    read_query,
    write_answer,
    write_error,
    write_failure,
    write_question,
)
from tests.unit.services.dns.messages import asked, query


def read(packet: bytes) -> Query:
    found = read_query(packet)
    assert isinstance(found, Query)
    return found


def test_question_is_read_with_what_its_answer_needs() -> None:
    found = read(asked("WWW.Example.org", "AAAA", size=4096, flags="do", cd=1))
    assert found.key == QuestionKey((b"www", b"example", b"org"), QTYPE.AAAA, True, True)
    assert (found.identity, found.recursive, found.klass) == (0x1234, True, 1)
    assert found.option == Option(room=1232, version=0, dnssec=True)
    assert found.question.startswith(b"\x03WWW\x07Example")
    assert found.host_name == "www.example.org"


def test_question_without_edns_has_no_option() -> None:
    found = query("example.org")
    assert (found.option, found.key.dnssec) == (None, False)


def added(*records: tuple[int, bytes], owner: bytes = b"\0") -> bytes:
    """A question for beta.vm with these (type, data) as additional records."""
    question = asked("beta.vm")
    head = question[:10] + struct.pack("!H", len(records))
    tail = (owner + struct.pack("!HHIH", kind, 255, 0, len(data)) + data for kind, data in records)
    return bytes(head + question[12:] + b"".join(tail))


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (b"", None),
        (asked("example.org")[:11], None),
        (asked("example.org", qr=1), None),
        (asked("example.org", opcode=5), Rcode.NOTIMP),
        (asked("example.org")[:-1], Rcode.FORMERR),
        (asked("example.org", size=512)[:-1], Rcode.FORMERR),
        (asked("example.org")[:4] + b"\0\0" + asked("example.org")[6:], Rcode.FORMERR),
        (asked("example.org")[:4] + b"\0\2" + asked("example.org")[6:], Rcode.FORMERR),
        (asked("example.org")[:4] + b"\xff" * 8 + asked("example.org")[12:], Rcode.FORMERR),
        (asked("example.org")[:12] + b"\xc0\x0c\0\1\0\1", Rcode.FORMERR),
        (asked("example.org")[:12] + b"\xc0\x00\0\1\0\1", Rcode.FORMERR),
        (asked("example.org")[:12] + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", Rcode.FORMERR),
        (asked("example.org")[:12] + b"\x3f" + b"a" * 20, Rcode.FORMERR),
        (asked("x.org")[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", Rcode.FORMERR),
    ],
    ids="empty header response opcode cut cut-opt none two many loop pointer label-64 cut-label "
    "name-256".split(),
)
def test_what_is_no_question_is_an_error_or_nothing(packet: bytes, error: Rcode | None) -> None:
    assert read_query(packet) is error


def test_question_that_brings_answers_along_is_malformed() -> None:
    record = DNSRecord(q=DNSQuestion("beta.vm"))
    record.add_answer(RR("beta.vm", QTYPE.TXT, rdata=TXT("x")))
    assert read_query(bytes(record.pack())) is Rcode.FORMERR


@pytest.mark.parametrize(
    ("records", "readable"),
    [
        ([(41, b"")], True),
        ([(41, b"\0\x0c\0\x80" + bytes(128))], True),  # padded, RFC 8467
        ([(41, b""), (250, bytes(80))], True),
        ([(41, b""), (41, b"")], False),
        ([(250, b""), (250, b"")], False),
        ([(47, b"\0" + b"\0\x20" + bytes(32))], False),
        ([(41, b"\0\x0a\0\0" * 15000)], False),  # longer than any question
        ([(41, b""), (16, b"\x01a")], False),
        ([(41, b""), (250, b""), (250, b"")], False),
    ],
)
def test_additional_records_are_an_option_and_a_signature_at_most(
    records: list[tuple[int, bytes]], readable: bool
) -> None:
    assert isinstance(read_query(added(*records)), Query) is readable


def test_option_belongs_to_the_root() -> None:
    assert read_query(added((41, b""), owner=b"\x01a\0")) is Rcode.FORMERR


@pytest.mark.parametrize(
    "packet",
    [
        asked("example.org", "AXFR"),
        asked("example.org", "OPT"),
        bytes(DNSRecord(q=DNSQuestion("example.org", QTYPE.A, 3)).pack()),
        added((250, bytes(80))),
    ],
    ids="axfr opt class signed".split(),
)
def test_question_that_only_a_server_of_the_name_can_answer_is_not_forwarded(
    packet: bytes,
) -> None:
    assert not read(packet).may_be_forwarded
    assert read(asked("example.org", "TXT", size=512)).may_be_forwarded


def test_question_with_another_version_of_edns_is_not_forwarded() -> None:
    record = DNSRecord(q=DNSQuestion("example.org"))
    record.add_ar(EDNS0(udp_len=512, version=1))
    found = read(bytes(record.pack()))
    assert found.option == Option(512, version=1)
    assert not found.may_be_forwarded


@pytest.mark.parametrize("label", [b"a.b", b"a b", b"\xff", b"a\0"])
def test_label_that_no_host_has_makes_no_host_name(label: bytes) -> None:
    packet = DNSRecord(q=DNSQuestion(DNSLabel([label, b"org"]))).pack()
    assert read(bytes(packet)).host_name == ""


def test_question_is_forwarded_in_lower_case_with_an_id_of_its_own() -> None:
    found = query("ExAmple.org", "MX", size=512, flags="do")
    sent = DNSRecord.parse(write_question(found.key, 0xABCD))
    assert (sent.header.id, sent.header.rd, sent.header.get_cd()) == (0xABCD, 1, 0)
    assert (str(sent.q.qname), QTYPE[sent.q.qtype]) == ("example.org.", "MX")
    assert (sent.ar[0].edns_len, sent.ar[0].edns_do) == (1232, 1)
    assert DNSRecord.parse(write_question(found.key, 1, edns=False)).ar == []


BODY = b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\4\xc0\0\2\1"


def test_answer_has_the_clients_id_and_spelling() -> None:
    message = write_answer(query("WWW.example.org", size=1232), 0, (1, 0), BODY, tcp=False)
    sent = DNSRecord.parse(message)
    assert (sent.header.id, sent.header.qr, sent.header.aa, sent.header.ra) == (0x1234, 1, 0, 1)
    assert sent.rr[0].rname.label == (b"WWW", b"example", b"org")
    assert str(sent.rr[0].rdata) == "192.0.2.1"
    assert sent.ar[0].edns_len == UDP_LARGEST


def test_client_without_edns_gets_none() -> None:
    sent = write_answer(query("a.org"), 0, (1, 0), BODY, tcp=False)
    assert DNSRecord.parse(sent).ar == []


@pytest.mark.parametrize("size", [0, 512])
def test_bits_about_dnssec_go_back_with_the_answer(size: int) -> None:
    """RFC 4035 section 3.2.2 for CD, RFC 3225 section 3 for DO."""
    found = read(asked("a.org", size=size, flags="do" if size else "", cd=1))
    sent = DNSRecord.parse(write_answer(found, 0, tcp=False))
    assert sent.header.get_cd() == 1
    assert [option.edns_do for option in sent.ar] == ([1] if size else [])


@pytest.mark.parametrize(
    ("size", "count", "tcp", "cut"),
    [(0, 30, False, False), (0, 40, False, True), (1232, 40, False, False), (0, 40, True, False)],
)
def test_answer_without_room_is_the_question_alone_with_tc_set(
    size: int, count: int, tcp: bool, cut: bool
) -> None:
    found = query("a.org", size=size)
    sent = DNSRecord.parse(write_answer(found, 0, (count, 0), BODY * count, tcp=tcp))
    assert (sent.header.tc, len(sent.rr)) == (int(cut), 0 if cut else count)
    assert (str(sent.q.qname), len(sent.ar)) == ("a.org.", int(bool(size)))


def test_failure_is_servfail_with_the_question() -> None:
    sent = DNSRecord.parse(write_failure(query("a.org"), tcp=False))
    assert (sent.header.rcode, sent.header.id) == (Rcode.SERVFAIL, 0x1234)
    assert str(sent.q.qname) == "a.org."


def test_error_is_a_header_with_the_id_opcode_and_recursion_wish() -> None:
    sent = write_error(asked("a.org", opcode=5), Rcode.NOTIMP)
    assert sent == struct.pack("!HHHHHH", 0x1234, 0x8000 | 5 << 11 | 0x0100 | 4, 0, 0, 0, 0)


@given(st.binary(max_size=300))
def test_any_octets_are_a_query_an_error_or_nothing(packet: bytes) -> None:
    found = read_query(packet)
    assert not isinstance(found, Query) or packet[12:].startswith(found.question)


@given(st.integers(0, 2**32))
def test_changed_octets_are_read_as_dnslib_reads_them(seed: int) -> None:
    """Where both can read them: dnslib rejects names that are no text, and takes longer ones."""
    chance = random.Random(seed)
    packet = bytearray(asked("www.example.org", size=1232))
    for _ in range(chance.randint(1, 6)):
        packet[chance.randrange(len(packet))] = chance.randrange(256)
    found = read_query(bytes(packet))
    if not isinstance(found, Query):
        return
    assert read(write_question(found.key, 1)).key == found.key or not found.may_be_forwarded
    try:
        theirs = DNSRecord.parse(bytes(packet))
    except DNSError:
        return
    labels = tuple(label.lower() for label in theirs.q.qname.label)
    assert (labels, theirs.q.qtype, theirs.q.qclass) == (found.name, found.kind, found.klass)
    assert (theirs.header.id, theirs.header.rd) == (found.identity, found.recursive)
    options = [extra for extra in theirs.ar if extra.rtype == QTYPE.OPT]
    assert [option.edns_ver for option in options] == (
        [found.option.version] if found.option else []
    )
