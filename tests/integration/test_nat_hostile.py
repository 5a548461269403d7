"""What a guest with root can put on the wire: frames that no system would send, built by hand."""

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.nat.plan.state import link_local
from services.nat.ruleset.rules import CONNECTIONS, FLOOD
from shared.contract.egress import parse_allowed
from shared.contract.publication import parse_publication
from tests.integration.namespaces import Guest, Namespace
from tests.integration.nat_lab import (
    GATEWAY,
    NEEDED,
    NOBODY,
    OUTSIDE,
    QUICK,
    UPLINK,
    Lab,
    fetch,
    is_cut_off,
    made_lab,
    spec,
)
from tests.waiting import eventually

pytestmark = NEEDED

ALPHA, BETA = spec("aaaaaaaaaaaa", "10.77.0.2"), spec("bbbbbbbbbbbb", "10.77.0.3")
LINK_LOCAL = [bytes.fromhex(f"0180c20000{last:02x}") for last in (0x00, 0x02, 0x03, 0x0E)]
"""Groups that a bridge does not pass on (IEEE 802.1Q table 8-1): spanning tree, link aggregation,
port access and LLDP. Linux hands their frames to the port's own interface, past the bridge."""
BESIDE = "192.31.196.3"
"""Nobody's."""
ETH_IP, ETH_IP6 = 0x0800, 0x86DD
DNS_PORT = 42069


@pytest.fixture(params=[False, True], ids=["bridge", "bridge-asks-iptables"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """With br_netfilter, as Docker has it, frames on the bridge go by the rules for IP there."""
    with made_lab(tmp_path) as made:
        made.place.sh("sysctl -qw net.ipv4.conf.default.rp_filter=0")
        if Path("/proc/sys/net/bridge").exists():
            made.place.sh(f"sysctl -qw net.bridge.bridge-nf-call-iptables={request.param:d}")
        yield made


def octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def ip(
    source: str,
    target: str,
    protocol: int,
    payload: bytes,
    options: bytes = b"",
    *,
    offset: int = 0,
    identity: int = 1,
) -> bytes:
    """An IPv4 packet (RFC 791); ``offset`` is the field of flags and fragment offset."""
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    size = 20 + len(options)
    version = 0x40 | size // 4
    head = struct.pack("!BBHHHBB", version, 0, size + len(payload), identity, offset, 64, protocol)
    check = struct.pack("!H", checksum(head + b"\0\0" + addresses + options))
    return head + check + addresses + options + payload


def udp(source_port: int, target_port: int, payload: bytes) -> bytes:
    """A datagram without a checksum, which IPv4 allows (RFC 768)."""
    return struct.pack("!4H", source_port, target_port, 8 + len(payload), 0) + payload


def send(guest: Guest, *frames: bytes) -> None:
    def put() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            for frame in frames:
                wire.send(frame)

    guest.run(put)


def frame(target: bytes, source: str, kind: int, packet: bytes) -> bytes:
    return target + octets(source) + struct.pack("!H", kind) + packet


def settle(guest: Guest) -> None:
    """Return when what ``guest`` has sent is through: an answer to ARP comes after it."""
    with contextlib.suppress(OSError):
        guest.sh("ip neigh flush dev eth0")
    mark = guest.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with mark:
        mark.settimeout(5)
        mark.connect((GATEWAY, 9))
        mark.send(b"")
        with pytest.raises(OSError, match=r"unreachable|refused|route|rohibited|denied"):
            mark.recv(1)  # the host's kernel_error


def test_frames_to_link_local_groups_are_no_way_to_the_host(lab: Lab) -> None:
    lab.reconcile(ALPHA)
    guest = lab.boot(ALPHA)
    with lab.place.run(lambda: socket.socket(type=socket.SOCK_DGRAM)) as service:
        service.bind(("0.0.0.0", 9000))
        service.setblocking(False)
        settle(guest)
        packet = ip(str(ALPHA.address), UPLINK, 17, udp(9, 9000, b"let me in"))
        send(guest, *(frame(group, ALPHA.mac, ETH_IP, packet) for group in LINK_LOCAL))
        settle(guest)
        with pytest.raises(BlockingIOError):
            service.recvfrom(64)


def test_frames_to_link_local_groups_take_no_other_guests_place_on_the_bridge(lab: Lab) -> None:
    lab.reconcile(ALPHA, BETA)
    liar = lab.boot(ALPHA)
    lab.boot(BETA)
    send(liar, *(frame(group, BETA.mac, 0x88CC, bytes(46)) for group in LINK_LOCAL))
    settle(liar)
    assert BETA.mac not in lab.place.sh(f"bridge fdb show dev {ALPHA.tap}")


def test_tap_that_was_taken_off_the_bridge_is_no_way_round_it(lab: Lab) -> None:
    lab.reconcile(ALPHA)
    guest = lab.boot(ALPHA)
    settle(guest)
    lab.place.sh(f"ip link set {ALPHA.tap} nomaster")
    with lab.place.run(lambda: socket.socket(type=socket.SOCK_DGRAM)) as service:
        service.bind(("0.0.0.0", 9000))
        service.settimeout(QUICK)
        for word in (b"one", b"two"):
            packet = ip(str(ALPHA.address), UPLINK, 17, udp(9, 9000, word))
            send(guest, frame(b"\xff" * 6, ALPHA.mac, ETH_IP, packet))
            if word == b"one":
                with pytest.raises(TimeoutError):
                    service.recv(64)
            lab.place.sh("nft flush chain inet banger raw")
        assert service.recv(64) == b"two"  # so it was that rule


def advertisement() -> bytes:
    """An IPv6 packet by which ALPHA says that it is a router (RFC 4861 section 4.2)."""
    source, target = link_local(ALPHA.mac).packed, socket.inet_pton(socket.AF_INET6, "ff02::1")
    advert = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    pseudo = source + target + struct.pack("!II", len(advert), 58)
    advert = advert[:2] + struct.pack("!H", checksum(pseudo + advert)) + advert[4:]
    return struct.pack("!IHBB", 6 << 28, len(advert), 58, 255) + source + target + advert


@pytest.mark.parametrize("rules", ["rules", "flushed"])
def test_host_takes_no_guest_for_a_router(lab: Lab, rules: str) -> None:
    lab.place.sh("sysctl -qw net.ipv6.conf.default.accept_ra=2")
    lab.reconcile(ALPHA)
    guest = lab.boot(ALPHA)
    before = lab.place.sh("ip -6 route")
    if rules == "flushed":
        lab.place.sh("nft flush ruleset")
    groups = (*LINK_LOCAL, bytes.fromhex("333300000001"))
    send(guest, *(frame(group, ALPHA.mac, ETH_IP6, advertisement()) for group in groups))
    settle(guest)
    assert lab.place.sh("ip -6 route") == before


def udp_at(place: Namespace, address: str = "", port: int = 0) -> socket.socket:
    made = place.run(lambda: socket.socket(type=socket.SOCK_DGRAM))
    made.bind((address, port))
    made.settimeout(QUICK)
    return made


def unreachable(quoted: bytes) -> bytes:
    """An ICMP error, port unreachable, about the packet ``quoted`` (RFC 792)."""
    body = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def test_guest_ends_no_connection_of_the_host_with_others(lab: Lab) -> None:
    """An error about a packet counts as part of its connection, whoever sends it."""
    lab.reconcile(ALPHA)
    guest = lab.boot(ALPHA)
    settle(guest)
    with udp_at(lab.outside, OUTSIDE, 7) as one, udp_at(lab.place) as other:
        other.connect((OUTSIDE, 7))
        other.send(b"question")
        _, peer = one.recvfrom(64)
        quoted = ip(UPLINK, OUTSIDE, 17, udp(peer[1], 7, b"question"))
        error = ip(str(ALPHA.address), UPLINK, 1, unreachable(quoted))
        send(guest, frame(octets(NOBODY.mac), ALPHA.mac, ETH_IP, error))
        settle(guest)
        one.sendto(b"answer", peer)
        assert other.recv(64) == b"answer"


def test_host_hears_that_a_port_of_its_guest_is_closed(lab: Lab) -> None:
    lab.reconcile(ALPHA)
    lab.boot(ALPHA)
    with udp_at(lab.place) as asker:
        asker.connect((str(ALPHA.address), 9))
        asker.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            asker.recv(64)


def test_guest_ends_no_connection_of_another_guest(lab: Lab) -> None:
    asker = replace(BETA, nat=True)
    lab.reconcile(ALPHA, asker)
    liar, guest = lab.boot(ALPHA), lab.boot(asker)
    settle(liar)
    with udp_at(lab.outside, OUTSIDE, 7) as one, udp_at(guest) as other:
        other.connect((OUTSIDE, 7))
        other.send(b"question")
        _, peer = one.recvfrom(64)
        port = other.getsockname()[1]
        assert peer == (UPLINK, port)  # the address is the host's, the port its own
        quoted = ip(UPLINK, OUTSIDE, 17, udp(port, 7, b"question"))
        error = ip(str(ALPHA.address), UPLINK, 1, unreachable(quoted))
        send(liar, frame(octets(NOBODY.mac), ALPHA.mac, ETH_IP, error))
        settle(liar)
        one.sendto(b"answer", peer)
        assert other.recv(64) == b"answer"


def test_flood_of_questions_does_not_fill_connection_tracking(lab: Lab) -> None:
    lab.reconcile(ALPHA)
    guest, questions = lab.boot(ALPHA), 20 * FLOOD
    settle(guest)
    guest.sh(f"ip link set eth0 txqueuelen {questions}")  # a wire that loses nothing
    with udp_at(lab.place, GATEWAY, DNS_PORT):
        packets = (
            ip(str(ALPHA.address), GATEWAY, 17, udp(1024 + n, 53, b"?")) for n in range(questions)
        )
        began = time.monotonic()
        send(guest, *(frame(octets(NOBODY.mac), ALPHA.mac, ETH_IP, one) for one in packets))
        settle_flood(lab, questions)
        most = (time.monotonic() - began + 2) * FLOOD  # 2: what may come at once
        assert 2 * FLOOD - 10 < connections(lab) <= most < questions  # 10: settle's, in between


def settle_flood(lab: Lab, frames: int) -> None:
    """Return when that many have come by the tap."""

    def came() -> bool:
        lines = lab.place.sh(f"ip -s link show {ALPHA.tap}").splitlines()
        return int(lines[3].split()[1]) >= frames

    eventually(came)


def connections(lab: Lab) -> int:
    return int(lab.place.sh("cat /proc/sys/net/netfilter/nf_conntrack_count"))


def test_guest_that_begins_too_many_connections_is_refused_more_and_no_other_guest_is(
    lab: Lab,
) -> None:
    """As a program does that looks for open ports: nobody answers, and each question is kept."""
    scanner, other = replace(ALPHA, nat=True), replace(BETA, nat=True)
    lab.reconcile(scanner, other)
    guest, neighbour = lab.boot(scanner), lab.boot(other)
    sources = CONNECTIONS // 100 + 10

    def look_around() -> None:
        for source in range(20_000, 20_000 + sources):
            with socket.socket(type=socket.SOCK_DGRAM) as asker:
                asker.bind(("", source))
                for port in range(1, 101):
                    with contextlib.suppress(OSError):  # told that it is refused
                        asker.sendto(b"?", (BESIDE, port))

    guest.sh(f"ip link set eth0 txqueuelen {2 * CONNECTIONS}")  # a wire that loses nothing
    assert fetch(guest, OUTSIDE) == UPLINK
    guest.run(look_around)
    settle_flood(lab, sources * 100)
    assert CONNECTIONS <= connections(lab) < CONNECTIONS + 100
    assert is_cut_off(guest, OUTSIDE)
    assert fetch(neighbour, OUTSIDE) == UPLINK


def test_connection_to_a_port_ends_when_that_is_not_published_any_more(lab: Lab) -> None:
    """Whoever has the guest's address next must not be heir to it."""
    lab.reconcile(replace(ALPHA, publish=(parse_publication("0.0.0.0:5353:7/udp"),)))
    guest = lab.boot(ALPHA)
    with udp_at(guest, str(ALPHA.address), 7) as server, udp_at(lab.outside) as client:
        client.connect((UPLINK, 5353))
        client.send(b"one")
        _, peer = server.recvfrom(64)
        server.sendto(b"answer", peer)
        assert client.recv(64) == b"answer"
        lab.reconcile(replace(ALPHA, nat=True))
        client.send(b"two")
        with pytest.raises(TimeoutError):
            server.recvfrom(64)


def test_guest_names_no_route_of_its_own(lab: Lab) -> None:
    """Loose source routing (RFC 791): the packet is for the host until it is on its way."""
    lab.reconcile(ALPHA, spec("cccccccccccc", "10.77.0.4", nat=True))  # so that it forwards
    for where in ("all", "default", "br-banger"):
        lab.place.sh(f"sysctl -qw net.ipv4.conf.{where}.accept_source_route=1")
    guest = lab.boot(ALPHA)
    settle(guest)
    option = b"\x83\x07\x04" + socket.inet_aton(OUTSIDE) + b"\0"
    with udp_at(lab.outside, OUTSIDE, 7) as heard:
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        lab.outside.sh("sysctl -qw net.ipv4.conf.all.accept_source_route=1")
        for word in (b"one", b"two"):
            packet = ip(str(ALPHA.address), GATEWAY, 17, udp(9, 7, word), option)
            send(guest, frame(octets(NOBODY.mac), ALPHA.mac, ETH_IP, packet))
            if word == b"one":
                with pytest.raises(TimeoutError):
                    heard.recv(64)
            lab.place.sh("nft flush chain inet banger raw")
        assert heard.recv(64) == b"two"  # so it was that rule


def test_frame_with_a_vlan_tag_is_dropped_whatever_is_in_it(lab: Lab) -> None:
    guest = replace(ALPHA, nat=True)
    lab.reconcile(guest)
    sender = lab.boot(guest)
    settle(sender)
    with udp_at(lab.outside, OUTSIDE, 7) as heard:
        target, source = octets(NOBODY.mac), octets(guest.mac)
        for tag in (b"\x81\0\0\x01\x08\0", b"\x81\0\0\0\x08\0", b"\x88\xa8\0\0\x08\0"):
            packet = ip(str(guest.address), OUTSIDE, 17, udp(9, 7, b"tagged"))
            send(sender, target + source + tag + packet)
        packet = ip(str(guest.address), OUTSIDE, 17, udp(9, 7, b"plain"))
        send(sender, frame(target, guest.mac, ETH_IP, packet))
        assert heard.recv(64) == b"plain"


def test_fragments_of_a_list_are_no_way_to_another_port(lab: Lab) -> None:
    """The first fragment too small for the port, as in RFC 1858."""
    guest = replace(ALPHA, allow=(parse_allowed(f"{OUTSIDE}:7"),))
    lab.reconcile(guest)
    sender = lab.boot(guest)
    settle(sender)
    with udp_at(lab.outside, OUTSIDE, 7) as open_, udp_at(lab.outside, OUTSIDE, 8) as closed:
        for port in (8, 7):
            whole = udp(9, port, b"in two parts")
            parts = [(0x2000, whole[:8]), (0x0001, whole[8:])]
            send(
                sender,
                *(
                    frame(
                        octets(NOBODY.mac),
                        guest.mac,
                        ETH_IP,
                        ip(str(guest.address), OUTSIDE, 17, part, offset=offset, identity=port),
                    )
                    for offset, part in parts
                ),
            )
        assert open_.recv(64) == b"in two parts"
        closed.setblocking(False)
        with pytest.raises(BlockingIOError):
            closed.recv(64)
