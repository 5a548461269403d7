"""The dns service on the bridge: guests in namespaces of their own, a name server outside.

nat is one that notes what it is asked to open. Its redirection of port 53 is tested with nat; here
guests ask the port that dns listens on.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Network

import pytest

from services.dns.answers import ALLOWED_SECONDS
from services.dns.forward.forwarder import NO_NAME_SERVER
from services.dns.forward.rate import BURST
from services.dns.forward.upstreams import CHECK_INTERVAL
from services.dns.service import EACH_GUEST
from shared.addresses.ula import ula_address, ula_prefix
from tests.integration.dns_lab import GATEWAY, PORT, UPSTREAM, Lab, outside
from tests.integration.upstream import Upstream, says
from tests.stack import want
from tests.unit.services.dns.messages import asked
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with ExitStack() as cleanup:
        made = Lab(cleanup)
        made.boot("alpha", nat=True)
        made.boot("beta", allow=["*.example.org:443", "192.31.196.0/24"])
        made.boot("gamma")
        made.plug("stranger", "10.77.0.99")
        yield made


@pytest.fixture(autouse=True)
def _as_found(lab: Lab) -> Iterator[None]:
    yield
    lab.opened()
    lab.stack.call("nat", "noting.refuse", refuse=False)
    lab.upstream.script = outside


@pytest.mark.parametrize("guest", ["alpha", "beta", "gamma", "host"])
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_guests_and_the_host_find_each_other(lab: Lab, guest: str, transport: str) -> None:
    address = lab.addresses["beta"]
    assert lab.dig(guest, transport, "BeTa.vm", short=True) == f"{address}\n"
    assert lab.dig(guest, transport, "-x", address, short=True) == "beta.vm.\n"
    assert "flags: qr aa" in lab.dig(guest, transport, "nobody.vm")


def test_names_have_the_ipv6_address_that_nat_gives_for_the_host_alone(lab: Lab) -> None:
    prefix = ula_prefix(str(lab.stack.paths.state))
    address = IPv4Address(lab.addresses["beta"])
    expected = ula_address(prefix, IPv4Network("10.77.0.0/24"), address)
    assert lab.dig("host", "beta.vm", "AAAA", short=True) == f"{expected}\n"
    assert lab.dig("host", "-x", str(expected), short=True) == "beta.vm.\n"
    shown = lab.dig("alpha", "beta.vm", "AAAA")
    assert "status: NOERROR" in shown
    assert "ANSWER: 0" in shown


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_guest_with_nat_looks_up_anything(lab: Lab, transport: str) -> None:
    shown = lab.dig("alpha", transport, "WWW.example.ORG")
    assert "flags: qr rd ra;" in shown
    assert ";WWW.example.ORG." in shown  # as it was asked, whatever upstream makes of it
    assert "192.31.196.1" in shown
    assert (
        lab.dig("alpha", transport, "mail.example.org", "MX", short=True) == "10 mx.example.org.\n"
    )
    assert "status: NXDOMAIN" in lab.dig("alpha", transport, "nobody.example.org")
    assert lab.opened() == []


def test_answer_too_large_for_udp_comes_by_tcp(lab: Lab) -> None:
    assert "Truncated, retrying in TCP" in lab.dig("alpha", "+noedns", "big.example.org")
    assert lab.dig("alpha", "+noedns", "big.example.org", short=True).count("192.31.196.") == 60


def test_listed_name_is_answered_after_nat_has_opened_its_addresses(lab: Lab) -> None:
    assert lab.dig("beta", "www.example.org", short=True) == "e.example.net.\n192.31.196.1\n"
    (opened,) = lab.opened()
    assert (opened["id"], opened["name"]) == ("b" * 12, "www.example.org")
    assert opened["addresses"] == ["192.31.196.1"]
    assert ALLOWED_SECONDS < opened["seconds"] <= 300


def test_short_lived_answer_is_open_for_a_minute_and_from_memory_too(lab: Lab) -> None:
    for _ in range(2):
        lab.dig("beta", "two.example.org")
    first, second = lab.opened()
    assert sorted(first["addresses"]) == ["192.31.196.2", "192.31.196.3"]
    assert first["seconds"] == second["seconds"] == ALLOWED_SECONDS


@pytest.mark.parametrize(
    "name", ["example.org", "www.example.com", "org", "www.example.org.evil.com"]
)
def test_name_that_is_not_listed_is_refused_and_not_asked_on(lab: Lab, name: str) -> None:
    before = len(lab.upstream.asked)
    assert "status: REFUSED" in lab.dig("beta", name)
    assert (len(lab.upstream.asked), lab.opened()) == (before, [])


def test_guest_without_egress_looks_up_nothing_outside(lab: Lab) -> None:
    assert "status: REFUSED" in lab.dig("gamma", "www.example.org")


@pytest.mark.parametrize("kind", ["AAAA", "MX", "TXT", "HTTPS", "ANY"])
def test_listed_name_has_addresses_and_nothing_else(lab: Lab, kind: str) -> None:
    before = len(lab.upstream.asked)
    shown = lab.dig("beta", "+notcp", "mail.example.org", kind)
    assert "status: NOERROR" in shown
    assert "ANSWER: 0" in shown
    assert len(lab.upstream.asked) == before


def test_listed_name_that_does_not_exist_is_said_not_to(lab: Lab) -> None:
    assert "status: NXDOMAIN" in lab.dig("beta", "nobody.example.org")
    assert lab.opened() == []


def test_nat_that_refuses_or_is_away_closes_the_name(lab: Lab) -> None:
    lab.stack.call("nat", "noting.refuse", refuse=True)
    assert "status: SERVFAIL" in lab.dig("beta", "www.example.org")
    lab.stack.kill("nat")
    try:
        assert "status: SERVFAIL" in lab.dig("beta", "+time=5", "www.example.org")
    finally:
        lab.stack.start("nat", module="tests.integration.nat_service")
    assert lab.dig("beta", "two.example.org", short=True).count("192.31.196.") == 2


def test_listed_name_does_not_lead_inside(lab: Lab) -> None:
    assert "ANSWER: 0" in lab.dig("beta", "bad.example.org")
    assert lab.opened() == []
    assert lab.dig("beta", "half.example.org", short=True) == "192.31.196.9\n"
    assert lab.opened()[0]["addresses"] == ["192.31.196.9"]
    assert "an address that beta must not reach was left out of an answer" in lab.log()


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize("name", ["beta.vm", "www.example.org"])
def test_source_that_is_no_guest_gets_nothing(lab: Lab, name: str, transport: str) -> None:
    shown = lab.dig("stranger", transport, "+time=1", name)
    assert "HEADER" not in shown


def test_host_gets_no_names_outside(lab: Lab) -> None:
    assert "status: REFUSED" in lab.dig("host", "www.example.org")


@pytest.mark.parametrize("name", ["nobody.vm", "9.0.77.10.in-addr.arpa", "1.0.77.127.in-addr.arpa"])
def test_our_zones_are_never_asked_on(lab: Lab, name: str) -> None:
    before = len(lab.upstream.asked)
    assert "status: NXDOMAIN" in lab.dig("alpha", name)
    assert len(lab.upstream.asked) == before


def test_name_and_right_to_ask_go_with_the_vm(lab: Lab) -> None:
    lab.boot("delta", nat=True)
    assert "status: NOERROR" in lab.dig("delta", "www.example.org")
    lab.stack.call("store", "vm.update", id="d" * 12, state="stopped")
    eventually(lambda: "status: NXDOMAIN" in lab.dig("alpha", "delta.vm"), patience=2)
    assert "HEADER" not in lab.dig("delta", "+time=1", "www.example.org")


def test_policy_follows_the_row(lab: Lab) -> None:
    lab.boot("epsilon")
    assert "status: REFUSED" in lab.dig("epsilon", "www.example.org")
    want(lab.stack.call, "e" * 12, nat=True)
    eventually(lambda: "status: NOERROR" in lab.dig("epsilon", "www.example.org"), patience=2)


def test_bridge_that_goes_and_comes_back_is_served_again(lab: Lab) -> None:
    lab.host.sh(f"ip addr del {GATEWAY}/24 dev br-banger")
    try:
        assert "HEADER" not in lab.dig("alpha", "+time=1", "beta.vm")
    finally:
        lab.host.sh(f"ip addr add {GATEWAY}/24 dev br-banger")
    assert "status: NOERROR" in lab.dig("alpha", "beta.vm")


def test_upstream_that_fails_is_servfail_and_told_in_the_status(lab: Lab) -> None:
    lab.upstream.script = says(rcode=2)
    assert "status: SERVFAIL" in lab.dig("alpha", "fails.example.org")
    problem = lab.stack.call("dns", "dns.status")["problem"]
    assert f"{UPSTREAM}: SERVFAIL" in problem


def test_host_without_an_uplink_is_servfail_at_once(lab: Lab) -> None:
    lab.resolv_conf.write_text("nameserver 198.51.100.9\n")
    try:
        started = time.monotonic()
        eventually(lambda: "SERVFAIL" in lab.dig("alpha", f"n{time.monotonic_ns()}.example.org"))
        assert time.monotonic() - started < 2 + CHECK_INTERVAL  # and not the 5 s of a silent server
        assert (
            "198.51.100.9: Network is unreachable" in lab.stack.call("dns", "dns.status")["problem"]
        )
    finally:
        lab.resolv_conf.write_text(f"nameserver {UPSTREAM}\n")
        eventually(lambda: "NOERROR" in lab.dig("alpha", "www.example.org"))


def test_host_without_a_name_server_is_told(lab: Lab) -> None:
    lab.resolv_conf.write_text("")
    try:
        eventually(lambda: lab.stack.call("dns", "dns.status")["problem"] == NO_NAME_SERVER)
        assert "status: SERVFAIL" in lab.dig("alpha", "www.example.org")
        assert "status: NOERROR" in lab.dig("alpha", "beta.vm")
    finally:
        lab.resolv_conf.write_text(f"nameserver {UPSTREAM}\n")
        eventually(lambda: "NOERROR" in lab.dig("alpha", "www.example.org"))


def test_one_guest_does_not_take_all_connections(lab: Lab) -> None:
    def connect() -> socket.socket:
        return socket.create_connection((GATEWAY, PORT), 5)

    def one_more_is_closed() -> bool:
        with connect() as connection:
            return connection.recv(1) == b""

    guest = lab.guests["gamma"]
    held = [guest.run(connect) for _ in range(EACH_GUEST)]
    try:
        assert guest.run(one_more_is_closed)
        assert "status: NOERROR" in lab.dig("alpha", "+tcp", "beta.vm")
    finally:
        for connection in held:
            connection.close()


def test_other_name_server_is_followed(lab: Lab) -> None:
    other = Upstream(lab.host, "127.0.0.54", says("n.example.org 5 IN A 192.31.196.54"), port=53)
    try:
        lab.resolv_conf.write_text("nameserver 127.0.0.54\n")
        eventually(lambda: "192.31.196.54" in lab.dig("alpha", "n.example.org"))
    finally:
        lab.resolv_conf.write_text(f"nameserver {UPSTREAM}\n")
        eventually(lambda: "NXDOMAIN" in lab.dig("alpha", "n.example.org"))
        other.close()


def test_flood_is_dropped_and_told_with_the_guests_name_once(lab: Lab) -> None:
    """Three bursts' worth at once: what is over it is dropped, and others are still served."""
    guest = lab.boot("zeta")

    def flood() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(int(3 * BURST)):
                sender.sendto(asked("beta.vm"), (GATEWAY, PORT))

    guest.run(flood)
    eventually(lambda: "DNS flood from zeta" in lab.log())
    guest.run(flood)
    # A question may be lost in the socket's full buffer, as on any network: resolvers ask again.
    eventually(lambda: "status: NOERROR" in lab.dig("alpha", "+time=1", "beta.vm"))
    assert lab.log().count("DNS flood from zeta") == 1
