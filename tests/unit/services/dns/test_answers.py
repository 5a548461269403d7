"""Who gets what, as far as no name server is needed: the rest is in test_dns_guests."""

from collections.abc import Coroutine, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from dnslib import DNSRecord

from services.dns.answers import OUT_EACH, GuestResponder, ZoneResponder
from services.dns.forward.forwarder import Forwarder
from services.dns.forward.rate import BURST
from services.dns.wire.format import Rcode
from services.dns.zone.zone import Zone
from shared.contract.messages.network import NatAllow
from shared.logs import Log
from tests.example import example_vm
from tests.unit.services.dns.messages import asked

SUBNET = IPv4Network("10.77.0.0/24")
BETA, GAMMA, LISTED = "10.77.0.2", "10.77.0.3", "10.77.0.4"


def zone(**hosts: str) -> Zone:
    addresses = {name: [IPv4Address(address)] for name, address in hosts.items()}
    return Zone(addresses, [SUBNET], serial=1)


def rcode(given: object) -> int:
    assert isinstance(given, bytes)
    return int(DNSRecord.parse(given).header.rcode)


async def never(_request: NatAllow) -> None:
    raise AssertionError("nothing is opened here")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "dns.log", "dns")
    yield log
    log.close()


@pytest.fixture
def guests(tmp_path: Path, log: Log) -> GuestResponder:
    """beta may look up anything, gamma nothing outside, the third what is on its list."""
    forwarder = Forwarder(frozenset(), resolv_conf=tmp_path / "resolv.conf")
    responder = ZoneResponder(zone(beta=BETA))
    answers = GuestResponder(responder, responder, SUBNET, forwarder, never, log)
    up = {"state": "running", "network": "bridge"}
    answers.set_vms(
        [
            example_vm(id="b" * 12, name="beta", address=BETA, nat=True, **up),
            example_vm(id="c" * 12, name="gamma", address=GAMMA, **up),
            example_vm(id="d" * 12, name="delta", address=LISTED, allow=["*.example.org"], **up),
        ]
    )
    return answers


def test_answers_follow_the_zone() -> None:
    responder = ZoneResponder(zone(beta=BETA))
    first = responder.answer(asked("beta.vm"), tcp=False)
    assert responder.answer(asked("beta.vm"), tcp=False) is not None
    responder.zone = zone(beta=GAMMA)
    second = responder.answer(asked("beta.vm"), tcp=False)
    assert first is not None
    assert second is not None
    found = [str(DNSRecord.parse(answer).rr[0].rdata) for answer in (first, second)]
    assert found == [BETA, GAMMA]


def test_every_guest_and_the_host_look_up_our_names(guests: GuestResponder) -> None:
    for source in (BETA, GAMMA, LISTED, "10.77.0.1"):
        assert rcode(guests.answer(asked("beta.vm"), source, tcp=False)) == Rcode.NOERROR
        assert rcode(guests.answer(asked("nobody.vm"), source, tcp=False)) == Rcode.NXDOMAIN


@pytest.mark.parametrize("source", ["10.77.0.9", "192.0.2.1", "127.0.0.1"])
def test_others_get_nothing(guests: GuestResponder, source: str) -> None:
    for packet in (asked("beta.vm"), asked("www.example.org"), b"", b"\xff" * 40):
        assert guests.answer(packet, source, tcp=False) is None


@pytest.mark.parametrize(
    ("source", "name"),
    [(GAMMA, "www.example.org"), (LISTED, "example.com"), ("10.77.0.1", "www.example.org")],
)
def test_what_a_policy_does_not_have_is_refused(
    guests: GuestResponder, source: str, name: str
) -> None:
    assert rcode(guests.answer(asked(name), source, tcp=False)) == Rcode.REFUSED


def test_listed_name_has_no_data_but_addresses(guests: GuestResponder) -> None:
    reply = DNSRecord.parse(guests.answer(asked("www.example.org", "AAAA"), LISTED, tcp=False))
    assert (reply.header.rcode, reply.rr) == (Rcode.NOERROR, [])


@pytest.mark.parametrize("kind", ["AXFR", "IXFR", "OPT"])
def test_what_is_no_data_is_not_asked_on(guests: GuestResponder, kind: str) -> None:
    assert rcode(guests.answer(asked("example.org", kind), BETA, tcp=True)) == Rcode.REFUSED


def test_guest_that_waits_for_much_fails_at_once_and_others_do_not(guests: GuestResponder) -> None:
    waiting = [guests.answer(asked(f"n{n}.org"), BETA, tcp=False) for n in range(OUT_EACH)]
    assert rcode(guests.answer(asked("one-more.org"), BETA, tcp=False)) == Rcode.SERVFAIL
    waiting.append(guests.answer(asked("www.example.org"), LISTED, tcp=False))
    for each in waiting:
        assert isinstance(each, Coroutine)
        each.close()


def test_guest_that_floods_is_dropped_and_named_once(guests: GuestResponder, log: Log) -> None:
    given = [guests.answer(asked("beta.vm"), GAMMA, tcp=False) for _ in range(int(BURST) + 300)]
    assert given.count(None) >= 200  # some tokens came meanwhile
    assert rcode(guests.answer(asked("beta.vm"), BETA, tcp=False)) == Rcode.NOERROR
    assert log.path.read_text().count("DNS flood from gamma") == 1
