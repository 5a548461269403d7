"""Several users on one host, with real packets: two nats, and one who takes the port of dns."""

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from services.nat.kernel.sockets import other_holder
from shared.errors import BangerError, Code
from tests.integration.namespaces import Namespace
from tests.integration.nat_lab import (
    GATEWAY,
    NEEDED,
    NOBODY,
    OUTSIDE,
    QUICK,
    UPLINK,
    Lab,
    OtherNat,
    fetch,
    is_cut_off,
    made_lab,
    made_services,
    spec,
)

pytestmark = NEEDED

ALPHA = spec("aaaaaaaaaaaa", "10.77.0.2", nat=True)
CLOSED = spec("cccccccccccc", "10.77.0.3")
BETA = spec("bbbbbbbbbbbb", "10.78.0.2", nat=True)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with made_lab(tmp_path) as made:
        made.outside.sh(f"ip route add 10.78.0.0/24 via {UPLINK}")
        yield made


@pytest.fixture
def other(lab: Lab, tmp_path: Path) -> OtherNat:
    return lab.other_nat("br-two", "10.78.0.0/24", tmp_path / "other.json")


def forwards(lab: Lab) -> bool:
    return lab.place.sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n"


def test_two_nats_leave_each_others_guests_alone(lab: Lab, other: OtherNat) -> None:
    before = lab.dump()
    lab.reconcile(ALPHA, CLOSED)
    other.reconcile(BETA)
    assert lab.reconcile(ALPHA, CLOSED) == []
    assert other.reconcile(BETA) == []
    alpha, closed, beta = lab.boot(ALPHA), lab.boot(CLOSED), other.boot(BETA)
    assert fetch(alpha, OUTSIDE) == fetch(beta, OUTSIDE) == UPLINK
    lab.serve(beta, "10.78.0.2", 80)
    assert fetch(lab.place, "10.78.0.2") == "10.78.0.1"
    assert is_cut_off(alpha, "10.78.0.2")  # it is no address of the outside
    assert is_cut_off(closed, OUTSIDE)
    other.reconcile()
    assert lab.reconcile(ALPHA, CLOSED) == []
    assert is_cut_off(closed, OUTSIDE)
    assert fetch(alpha, OUTSIDE) == UPLINK
    lab.reconcile()
    assert lab.dump() == before


def test_guest_that_names_the_other_bridge_literally_reaches_no_guest_there(
    lab: Lab, other: OtherNat
) -> None:
    bold = spec(ALPHA.id, "10.77.0.2", nat=True, allow="10.78.0.0/24")
    lab.reconcile(bold)
    other.reconcile(BETA)
    lab.serve(other.boot(BETA), "10.78.0.2", 80)
    assert is_cut_off(lab.boot(bold), "10.78.0.2")


def test_forwarding_stays_on_until_the_last_of_both_is_gone(lab: Lab, other: OtherNat) -> None:
    lab.reconcile(ALPHA)
    other.reconcile(BETA)
    beta = other.boot(BETA)
    lab.reconcile()
    assert fetch(beta, OUTSIDE) == UPLINK
    other.reconcile()
    lab.reconcile()
    assert not forwards(lab)


def test_second_nat_with_the_same_bridge_is_refused_with_what_to_set(
    lab: Lab, tmp_path: Path
) -> None:
    lab.reconcile(ALPHA)
    there = lab.dump()
    same = lab.other_nat("br-banger", "10.78.0.0/24", tmp_path / "other.json")
    for guests in ((BETA,), ()):
        with pytest.raises(BangerError, match="another banger") as caught:
            same.reconcile(*guests)
        assert caught.value.code is Code.CONFLICT
        assert "nat.bridge" in caught.value.hint
    assert lab.dump() == there


def test_tables_that_an_earlier_build_gave_the_default_name_go_and_others_stay(
    lab: Lab, other: OtherNat
) -> None:
    other.reconcile(BETA)
    old = "table inet banger {\n chain input {\n type filter hook input priority 0; \n}\n}\n"
    for line, removed in ((f'iifname "{other.base.bridge}" drop', True), ("accept", False)):
        script = old.replace("priority 0; ", f"priority 0; {line}; ")
        (note := other.host.ip_forward.note.with_name("rules")).write_text(script)
        lab.place.sh(f"nft -f {note}")
        assert lab.place.run(lambda: other.host.remove_unmarked("br-two")) is removed
        assert ("table inet banger {" in lab.place.sh("nft list ruleset")) is not removed


DNS_PORT = 42069
STRANGER = 65534
KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)


@contextmanager
def answering(lab: Lab, uid: int, kind: socket.SocketKind) -> Iterator[None]:
    """A program of ``uid`` that answers at the port of dns on the bridge's address."""

    def bind() -> socket.socket:
        libc = ctypes.CDLL(None)
        libc.setfsuid(uid)  # of this thread, and so of the socket
        try:
            made = socket.socket(type=kind)
        finally:
            libc.setfsuid(os.geteuid())
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind is socket.SOCK_STREAM)
        made.bind((GATEWAY, DNS_PORT))
        made.settimeout(0.05)
        if kind is socket.SOCK_STREAM:
            made.listen()
        return made

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                if kind is socket.SOCK_STREAM:
                    with bound.accept()[0] as connection:
                        connection.sendall(b"answer")
                else:
                    bound.sendto(b"answer", bound.recvfrom(100)[1])

    over = threading.Event()
    with lab.place.run(bind) as bound:
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        over.set()
        thread.join()


def asked(place: Namespace, kind: socket.SocketKind, port: int) -> bytes:
    def ask() -> bytes:
        with socket.socket(type=kind) as asker, suppress(OSError):
            asker.settimeout(QUICK)
            asker.connect((GATEWAY, port))
            if kind is socket.SOCK_DGRAM:
                asker.send(b"question")
            return asker.recv(100)
        return b""

    answer: bytes = place.run(ask)
    return answer


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_users_own_dns_answers_guests_and_the_hosts_resolver(
    lab: Lab, kind: socket.SocketKind
) -> None:
    lab.reconcile(ALPHA)
    guest = lab.boot(ALPHA)
    with answering(lab, os.geteuid(), kind):
        assert asked(guest, kind, 53) == b"answer"
        assert asked(lab.place, kind, DNS_PORT) == b"answer"
        assert lab.place.run(lambda: other_holder(os.geteuid(), GATEWAY, DNS_PORT)) is None
    with answering(lab, STRANGER, kind):  # no pass has seen it yet
        assert asked(guest, kind, 53) == b""
        assert asked(lab.place, kind, DNS_PORT) == b""
        holder = lab.place.run(lambda: other_holder(os.geteuid(), GATEWAY, DNS_PORT))
        assert holder == STRANGER


def test_guest_is_not_led_to_a_port_that_another_user_has(lab: Lab) -> None:
    desired = replace(NOBODY.with_guests((ALPHA,)), dns_holder=STRANGER)
    lab.place.run(lambda: lab.host.reconcile(desired))
    guest = lab.boot(ALPHA)
    with answering(lab, os.geteuid(), socket.SOCK_DGRAM):
        assert asked(guest, socket.SOCK_DGRAM, 53) == b""
        lab.reconcile(ALPHA)
        assert asked(guest, socket.SOCK_DGRAM, 53) == b"answer"


def test_nat_says_whose_the_port_of_dns_is_and_leads_guests_there_again_afterwards(
    lab: Lab,
) -> None:
    def redirects() -> bool:
        return "redirect to :42069" in lab.place.sh("nft list table inet banger")

    with made_services(lab) as stack:
        stack.reserve(ALPHA.id, "alpha", network="bridge", subnet="10.77.0.0/24", nat=True)
        stack.call("store", "vm.update", id=ALPHA.id, state="running")
        stack.call("nat", "nat.attach", id=ALPHA.id)
        with answering(lab, STRANGER, socket.SOCK_DGRAM):
            stack.call("store", "vm.update", id=ALPHA.id, name="beta")
            stack.call("nat", "nat.apply")
            assert f"uid {STRANGER}" in stack.call("nat", "nat.status")["problem"]
            assert not redirects()
        stack.call("store", "vm.update", id=ALPHA.id, name="alpha")
        stack.call("nat", "nat.apply")
        assert stack.call("nat", "nat.status")["problem"] == ""
        assert redirects()


def test_private_guests_are_reached_by_their_owner_and_by_no_other_user(lab: Lab) -> None:
    desired = replace(NOBODY.with_guests((ALPHA,)), private=True)
    lab.place.run(lambda: lab.host.reconcile(desired))
    guest = lab.boot(ALPHA)
    lab.serve(guest, str(ALPHA.address), 80)

    def connects(uid: int) -> bool:
        libc = ctypes.CDLL(None)
        libc.setfsuid(uid)
        try:
            asker = socket.socket()
        finally:
            libc.setfsuid(os.geteuid())
        with asker:
            asker.settimeout(QUICK)
            return asker.connect_ex((str(ALPHA.address), 80)) == 0

    assert lab.place.run(lambda: connects(os.geteuid()))
    assert not lab.place.run(lambda: connects(STRANGER))
    assert fetch(guest, OUTSIDE) == UPLINK
    lab.reconcile(ALPHA)
    assert lab.place.run(lambda: connects(STRANGER))
