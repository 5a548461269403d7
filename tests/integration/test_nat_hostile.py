"""What a guest with root can put on the wire: frames that no system would send, built by hand."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.nat.state import link_local
from tests.integration.namespaces import Guest
from tests.integration.nat_lab import GATEWAY, QUICK, UPLINK, Lab, made_lab, spec

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/net/tun").exists(),
    reason="needs root and /dev/net/tun to make network namespaces and taps",
)

ALPHA, BETA = spec("aaaaaaaaaaaa", "10.77.0.2"), spec("bbbbbbbbbbbb", "10.77.0.3")
LINK_LOCAL = [bytes.fromhex(f"0180c20000{last:02x}") for last in (0x00, 0x02, 0x03, 0x0E)]
"""Groups that a bridge does not pass on (IEEE 802.1Q table 8-1): spanning tree, link aggregation,
port access and LLDP. Linux hands their frames to the port's own interface, past the bridge."""
ETH_IP, ETH_IP6 = 0x0800, 0x86DD


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with made_lab(tmp_path) as made:
        made.place.sh("sysctl -qw net.ipv4.conf.default.rp_filter=0")
        yield made


def octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def ip(source: str, target: str, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet without options (RFC 791)."""
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol)
    check = struct.pack("!H", checksum(head + b"\0\0" + addresses))
    return head + check + addresses + payload


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
            mark.recv(1)  # the host's refusal


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


def test_router_advertisement_to_a_link_local_group_is_not_heard(lab: Lab) -> None:
    lab.place.sh("sysctl -qw net.ipv6.conf.default.accept_ra=2")
    lab.reconcile(ALPHA)
    guest = lab.boot(ALPHA)
    before = lab.place.sh("ip -6 route")
    source, target = link_local(ALPHA.mac).packed, socket.inet_pton(socket.AF_INET6, "ff02::1")
    advert = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    pseudo = source + target + struct.pack("!II", len(advert), 58)
    advert = advert[:2] + struct.pack("!H", checksum(pseudo + advert)) + advert[4:]
    packet = struct.pack("!IHBB", 6 << 28, len(advert), 58, 255) + source + target + advert
    send(guest, *(frame(group, ALPHA.mac, ETH_IP6, packet) for group in LINK_LOCAL))
    settle(guest)
    assert lab.place.sh("ip -6 route") == before
