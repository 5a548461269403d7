"""Guests that may reach each other, with real packets by way of the host."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.nat.plan.state import BridgeGuest as GuestSpec
from tests.integration.namespaces import Guest
from tests.integration.nat_lab import (
    NEEDED,
    OUTSIDE,
    QUICK,
    UPLINK,
    Lab,
    fetch,
    is_cut_off,
    made_lab,
    made_services,
    spec,
)
from tests.stack import Stack
from tests.waiting import eventually

pytestmark = NEEDED

WEB, DB = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
WEB_ADDRESS, DB_ADDRESS = "10.77.0.2", "10.77.0.3"
PROXY_ARP = "cat /proc/sys/net/ipv4/conf/br-banger/proxy_arp_pvlan"
FORWARDING = "cat /proc/sys/net/ipv4/ip_forward"


@pytest.fixture(params=[False, True], ids=["bridge", "bridge-asks-iptables"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    with made_lab(tmp_path) as made:
        if Path("/proc/sys/net/bridge").exists():
            made.place.sh(f"sysctl -qw net.bridge.bridge-nf-call-iptables={request.param:d}")
        yield made


def web(allow: str = "", *, nat: bool = False) -> GuestSpec:
    return replace(spec(WEB, WEB_ADDRESS, allow=allow, nat=nat), name="web")


def db(allow: str = "") -> GuestSpec:
    return replace(spec(DB, DB_ADDRESS, allow=allow), name="db")


def booted(lab: Lab, *guests: GuestSpec) -> list[Guest]:
    """Up, each with a web server at ports 80 and 81."""
    lab.reconcile(*guests)
    up = [lab.boot(guest) for guest in guests]
    for guest, machine in zip(guests, up, strict=True):
        for port in (80, 81):
            lab.serve(machine, str(guest.address), port)
    return up


def test_guest_reaches_the_guest_on_its_list_by_its_own_address_and_not_the_reverse(
    lab: Lab,
) -> None:
    asker, asked = booted(lab, web("db.vm"), db())
    assert fetch(asker, DB_ADDRESS) == WEB_ADDRESS
    assert is_cut_off(asked, WEB_ADDRESS)
    assert is_cut_off(asker, OUTSIDE)
    assert is_cut_off(asked, OUTSIDE)


def test_first_connection_waits_for_no_delayed_answer_of_arp(lab: Lab) -> None:
    """arp(7): proxy_delay is up to 0.8 s where nobody has changed it."""
    booted(lab, web("db.vm"), db())
    assert lab.place.sh("cat /proc/sys/net/ipv4/neigh/br-banger/proxy_delay") == "0\n"


def test_port_on_the_list_is_the_only_one(lab: Lab) -> None:
    asker, _ = booted(lab, web("db.vm:80"), db())
    assert fetch(asker, DB_ADDRESS, 80) == WEB_ADDRESS
    assert is_cut_off(asker, DB_ADDRESS, 81)


def test_the_whole_outside_is_beside_a_guest_and_holds_none(lab: Lab) -> None:
    asker, _ = booted(lab, web("db.vm:80", nat=True), db())
    assert fetch(asker, OUTSIDE) == UPLINK
    assert fetch(asker, DB_ADDRESS, 80) == WEB_ADDRESS
    assert is_cut_off(asker, DB_ADDRESS, 81)


def test_networks_that_hold_the_bridge_lead_to_no_guest_but_the_one_named(lab: Lab) -> None:
    asker, _ = booted(lab, web("10.0.0.0/8,db.vm:81"), db())
    assert is_cut_off(asker, DB_ADDRESS, 80)
    assert fetch(asker, DB_ADDRESS, 81) == WEB_ADDRESS


def test_every_vm_is_one_entry_and_a_third_that_lists_nobody_reaches_nobody(lab: Lab) -> None:
    third = replace(spec("cccccccccccc", "10.77.0.4"), name="third")
    one, two, other = booted(lab, web("*.vm"), db("*.vm"), third)
    assert fetch(one, DB_ADDRESS) == WEB_ADDRESS
    assert fetch(two, WEB_ADDRESS) == DB_ADDRESS
    assert fetch(two, "10.77.0.4") == DB_ADDRESS
    for address in (WEB_ADDRESS, DB_ADDRESS):
        assert is_cut_off(other, address)


def is_refused(client: socket.socket) -> bool:
    """Whether a datagram comes back as an error. Kernels drop some of these: they are rationed."""
    try:
        client.send(b"anybody?")
        client.recv(64)
    except TimeoutError:
        return False
    except ConnectionRefusedError:
        return True
    raise AssertionError("somebody answered")


def test_datagrams_and_their_errors_come_through(lab: Lab) -> None:
    """A port where nobody listens says so: an ICMP error about the asker's own datagram."""
    asker, asked = booted(lab, web("db.vm"), db())
    with asker.run(lambda: socket.socket(type=socket.SOCK_DGRAM)) as client:
        client.settimeout(QUICK)
        client.connect((DB_ADDRESS, 9))
        eventually(lambda: is_refused(client))
    with asked.run(lambda: socket.socket(type=socket.SOCK_DGRAM)) as server:
        server.bind((DB_ADDRESS, 9))
        server.settimeout(2)
        with asker.run(lambda: socket.socket(type=socket.SOCK_DGRAM)) as client:
            client.settimeout(2)
            client.sendto(b"question", (DB_ADDRESS, 9))
            question, peer = server.recvfrom(64)
            server.sendto(question[::-1], peer)
            assert client.recv(64) == b"noitseuq"


def test_open_connection_ends_with_the_entry(lab: Lab) -> None:
    asker, _ = booted(lab, web("db.vm"), db())
    with asker.run(lambda: socket.create_connection((DB_ADDRESS, 80), 2)) as connection:
        lab.reconcile(web(), db())
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(OSError, match=r"host|timed out"):
            connection.recv(4096)


def test_forwarding_and_arp_are_as_they_were_when_nobody_seeks_anybody(lab: Lab) -> None:
    booted(lab, web("db.vm"), db())
    assert (lab.place.sh(PROXY_ARP), lab.place.sh(FORWARDING)) == ("1\n", "1\n")
    lab.reconcile(web(), db())
    assert (lab.place.sh(PROXY_ARP), lab.place.sh(FORWARDING)) == ("0\n", "0\n")
    assert lab.reconcile(web(), db()) == []


def test_everything_goes_with_the_last_guest(lab: Lab) -> None:
    before = lab.dump()
    lab.reconcile(web("db.vm"), db())
    assert lab.dump() != before
    lab.reconcile()
    assert lab.dump() == before


def test_guest_cannot_speak_to_another_in_the_name_of_a_third(lab: Lab) -> None:
    third = replace(spec("cccccccccccc", "10.77.0.4"), name="third")
    lab.reconcile(web("db.vm"), db(), third)
    lab.serve(lab.boot(db()), DB_ADDRESS, 80)
    liar = lab.boot(third, address=WEB_ADDRESS)
    assert is_cut_off(liar, DB_ADDRESS)


@pytest.fixture
def stack(lab: Lab) -> Iterator[Stack]:
    with made_services(lab) as made:
        yield made


def test_entry_follows_the_vm_of_its_name(lab: Lab, stack: Stack) -> None:
    """There before it, gone with it, and with whoever has the name then."""

    def up(vm_id: str, name: str, *allow: str) -> str:
        row = stack.reserve(vm_id, name, network="bridge", subnet="10.77.0.0/24", allow=list(allow))
        stack.call("store", "vm.update", id=vm_id, state="running")
        stack.call("nat", "nat.attach", id=vm_id)
        return str(row["address"])

    asker = lab.boot(spec(WEB, up(WEB, "web", "db.vm:80")))
    address = up(DB, "db")
    first = lab.boot(spec(DB, address))
    lab.serve(first, address, 80)
    assert fetch(asker, address) == WEB_ADDRESS
    stack.call("store", "vm.remove", id=DB)
    eventually(lambda: is_cut_off(asker, address))
    other = up("c" * 12, "cache")
    assert other == address
    lab.serve(lab.boot(spec("c" * 12, other)), other, 80)
    assert is_cut_off(asker, other)
