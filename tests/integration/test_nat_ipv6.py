"""IPv6 on the bridge: host and guest reach each other, and nothing else goes either way."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Network
from pathlib import Path

import pytest

from services.nat.plan.state import BridgeGuest as GuestSpec
from services.nat.plan.state import link_local
from tests.integration.namespaces import Guest
from tests.integration.nat_lab import (
    NEEDED,
    NOBODY,
    QUICK,
    Lab,
    made_lab,
    spec,
)

pytestmark = NEEDED

WITH_IPV6 = replace(NOBODY, prefix=IPv6Network("fd00:0:0:7::/64"))
HOST6, ALPHA6, BETA6 = "fd00:0:0:7::1", "fd00:0:0:7::2", "fd00:0:0:7::3"
OUTSIDE6, UPLINK6 = "2001:db8::2", "2001:db8::1"
ALPHA = spec("aaaaaaaaaaaa", "10.77.0.2", nat=True)
BETA = spec("bbbbbbbbbbbb", "10.77.0.3", nat=True)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with made_lab(tmp_path) as made:
        made.place.sh(f"ip addr add {UPLINK6}/64 dev uplink nodad")
        made.outside.sh(f"ip addr add {OUTSIDE6}/64 dev uplink nodad")
        made.outside.sh(f"ip route add {WITH_IPV6.prefix} via {UPLINK6}")
        made.place.sh("sysctl -qw net.ipv6.conf.all.forwarding=1")  # only rules can refuse
        yield made


def reconcile(lab: Lab, *guests: GuestSpec) -> int:
    desired = WITH_IPV6.with_guests(guests)
    return len(lab.place.run(lambda: lab.host.reconcile(desired)).steps)


def boot(lab: Lab, guest: GuestSpec, address: str) -> Guest:
    booted = lab.boot(guest)
    booted.sh(f"ip addr add {address}/64 dev eth0 nodad")
    booted.sh(f"ip route add default via {HOST6}")
    return booted


def listen(lab: Lab, place: object, address: str, port: int = 80) -> None:
    server = place.run(lambda: socket.create_server((address, port), family=socket.AF_INET6))  # type: ignore[attr-defined]
    lab.cleanup.callback(server.close)


def reaches(place: object, address: str, port: int = 80, source: str = "") -> bool:
    def connect() -> bool:
        with socket.socket(socket.AF_INET6) as asker:
            asker.settimeout(QUICK)
            asker.bind((source, 0))
            try:
                asker.connect((address, port))
            except OSError:
                return False
            return True

    return bool(place.run(connect))  # type: ignore[attr-defined]


def test_host_reaches_its_guest_and_the_guest_nothing(lab: Lab) -> None:
    reconcile(lab, ALPHA, BETA)
    alpha, beta = boot(lab, ALPHA, ALPHA6), boot(lab, BETA, BETA6)
    for place, address in (
        (alpha, ALPHA6), (beta, BETA6), (lab.place, HOST6), (lab.place, UPLINK6),
        (lab.outside, OUTSIDE6),
    ):  # fmt: skip
        listen(lab, place, address)
    assert reaches(lab.place, ALPHA6)
    assert reaches(lab.outside, UPLINK6)
    for address in (HOST6, UPLINK6, OUTSIDE6, BETA6):
        assert not reaches(alpha, address)
    alpha.sh(f"ip route add {BETA6}/128 via {HOST6}")
    assert not reaches(alpha, BETA6)
    assert not reaches(lab.outside, ALPHA6)


METADATA6 = ("fd00:ec2::254", "64:ff9b::a9fe:a9fe")
"""Metadata of a cloud by IPv6, and by the prefix that stands for IPv4 addresses (RFC 6052)."""


def test_no_guest_reaches_metadata_by_ipv6(lab: Lab) -> None:
    reconcile(lab, ALPHA)
    alpha = boot(lab, ALPHA, ALPHA6)
    for address in METADATA6:
        lab.outside.sh(f"ip addr add {address}/128 dev uplink nodad")
        lab.place.sh(f"ip route add {address}/128 via {OUTSIDE6}")
        listen(lab, lab.outside, address)
        assert reaches(lab.place, address)
        assert not reaches(alpha, address)


def test_second_pass_finds_nothing_to_do_and_the_last_leaves_nothing(lab: Lab) -> None:
    before = lab.dump()
    assert reconcile(lab, ALPHA)
    assert reconcile(lab, ALPHA) == 0
    assert reconcile(lab)
    assert lab.dump() == before


def test_guest_neither_has_nor_answers_for_the_address_of_another(lab: Lab) -> None:
    reconcile(lab, ALPHA, BETA)
    liar = boot(lab, ALPHA, ALPHA6)
    listen(lab, liar, "::")
    assert reaches(lab.place, ALPHA6)
    liar.sh(f"ip addr add {BETA6}/64 dev eth0 nodad")
    assert not reaches(lab.place, BETA6)
    assert ALPHA.mac not in lab.place.sh(f"ip -6 neigh show {BETA6} dev br-banger")
    assert dropped(lab, ALPHA) > 0


def dropped(lab: Lab, guest: GuestSpec) -> int:
    return lab.place.run(lambda: lab.host.observe("br-banger")).dropped[guest.tap]


def test_guest_is_no_router(lab: Lab) -> None:
    reconcile(lab, ALPHA)
    guest = boot(lab, ALPHA, ALPHA6)
    lab.place.sh("sysctl -qw net.ipv6.conf.br-banger.accept_ra=2")
    before = lab.place.sh("ip -6 route")
    prefix = bytes([3, 4, 64, 0xC0]) + b"\xff" * 8 + bytes(4) + socket.inet_pton(
        socket.AF_INET6, "2001:db8:bad::"
    )  # fmt: skip
    advert = bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8) + prefix

    def advertise() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sender:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            index = socket.if_nametoindex("eth0")
            sender.bind((str(link_local(ALPHA.mac)), 0, 0, index))
            sender.sendto(advert, ("ff02::1", 0, 0, index))

    count = dropped(lab, ALPHA)
    guest.run(advertise)
    listen(lab, guest, ALPHA6)
    assert reaches(lab.place, ALPHA6)  # what was sent before this has arrived
    assert dropped(lab, ALPHA) == count + 1
    assert lab.place.sh("ip -6 route") == before


def test_without_ipv6_none_passes(lab: Lab) -> None:
    lab.reconcile(ALPHA)
    guest = boot(lab, ALPHA, ALPHA6)
    lab.place.sh(f"ip addr add {HOST6}/64 dev br-banger nodad")
    listen(lab, guest, ALPHA6)
    assert not reaches(lab.place, ALPHA6)
    assert dropped(lab, ALPHA) == 0  # its system's doing, and no spoofing
