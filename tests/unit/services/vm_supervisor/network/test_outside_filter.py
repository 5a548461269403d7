"""Which frames of a guest pass to the user-mode network: real filters, made frames."""

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.policy.network_policy import LITERAL_MOST
from services.vm_supervisor.network.outside_filter import (
    TCP,
    UDP,
    filter_id,
    filtered_pair,
    program,
)
from shared.addresses.outside import is_global

ICMP = 1
LONGEST_PROGRAM = 4096
"""BPF_MAXINSNS of linux/bpf_common.h."""


@dataclass(frozen=True)
class Packet:
    target: str
    port: int = 80
    protocol: int = TCP
    fragment: int = 0
    options: bytes = b""
    kind: int = 0x0800

    def frame(self) -> bytes:
        length = 20 + len(self.options)
        header = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x40 | length // 4, 0, length + 8, 0, self.fragment, 64, self.protocol, 0),
            *(socket.inet_aton("10.0.3.15"), IPv4Address(self.target).packed),
        )
        transport = struct.pack("!HHI", 5000, self.port, 0)
        return b"\x52" * 12 + struct.pack("!H", self.kind) + header + self.options + transport


def passing(packets: Sequence[Packet], literal: Sequence[str] = ()) -> list[Packet]:
    """Those of ``packets`` that arrive at the far end."""
    guest, outside = filtered_pair(literal)
    outside.setblocking(False)
    with guest, outside:
        passed = []
        for packet in packets:
            guest.send(packet.frame())
            try:
                assert outside.recv(2000) == packet.frame()
            except BlockingIOError:
                continue
            passed.append(packet)
        return passed


def test_what_is_outside_passes_by_every_protocol_and_in_fragments() -> None:
    outside = [
        Packet("1.1.1.1"),
        Packet("9.9.9.9", 53, UDP),
        Packet("1.1.1.1", protocol=ICMP),
        Packet("1.1.1.1", fragment=0x2000),
        Packet("1.1.1.1", fragment=0x0042),
        Packet("1.1.1.1", options=b"\1" * 8),
    ]
    assert passing(outside) == outside


@pytest.mark.parametrize(
    "target",
    [
        *("169.254.169.254", "168.63.129.16", "100.100.100.200", "127.0.0.1", "10.0.3.2"),
        *("192.168.1.1", "10.1.2.3", "172.17.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1"),
    ],
)
def test_metadata_loopback_and_local_networks_do_not(target: str) -> None:
    packets = [
        Packet(target, port, protocol, fragment, options)
        for port in (22, 53, 80)
        for protocol in (TCP, UDP, ICMP)
        for fragment in (0, 0x2000, 0x0042)
        for options in (b"", b"\1" * 8)
    ]
    assert passing(packets) == []


def test_resolver_and_dhcp_server_of_the_network_are_reached_and_nothing_else_of_it() -> None:
    good = [
        Packet("10.0.3.3", 53, UDP),
        Packet("10.0.3.3", 53, TCP),
        Packet("10.0.3.3", 53, UDP, options=b"\1" * 4),
        Packet("10.0.3.2", 67, UDP),
        Packet("255.255.255.255", 67, UDP),
    ]
    bad = [
        Packet("10.0.3.3", 54, UDP),
        Packet("10.0.3.3", 53, UDP, fragment=0x2000),
        Packet("10.0.3.2", 67, TCP),
        Packet("10.0.3.2", 69, UDP),
        Packet("255.255.255.255", 68, UDP),
    ]
    assert passing([*good, *bad]) == good


def test_arp_passes_and_ipv6_vlans_and_stumps_do_not() -> None:
    frames = [Packet("1.1.1.1", kind=kind) for kind in (0x0806, 0x86DD, 0x8100)]
    assert passing(frames) == frames[:1]
    guest, outside = filtered_pair(())
    outside.setblocking(False)
    with guest, outside:
        for length in range(34):
            guest.send(Packet("1.1.1.1").frame()[:length])
        with pytest.raises(BlockingIOError):
            outside.recv(2000)


def test_networks_that_the_list_names_literally_pass_too() -> None:
    literal = ["192.168.1.0/24", "10.9.0.1:443", "10.0.3.2"]
    good = [
        Packet("192.168.1.7", 1, ICMP),
        Packet("192.168.1.7", fragment=0x2000),
        Packet("10.9.0.1", 443, TCP),
        Packet("10.9.0.1", 443, UDP),
        Packet("10.0.3.2"),
        Packet("1.1.1.1"),
    ]
    bad = [
        Packet("192.168.2.7"),
        Packet("10.9.0.1", 80),
        Packet("10.9.0.1", 443, ICMP),
        Packet("10.9.0.1", 443, UDP, fragment=1),
        Packet("169.254.169.254"),
    ]
    assert passing([*good, *bad], literal) == good


@given(st.lists(st.ip_addresses(v=4), min_size=1, max_size=50))
def test_filter_agrees_with_the_table_on_every_address(addresses: list[IPv4Address]) -> None:
    packets = [Packet(str(address), 80) for address in addresses]
    assert passing(packets) == [p for p in packets if is_global(IPv4Address(p.target))]


def test_longest_list_of_the_api_has_room_in_a_filter() -> None:
    literal = [f"10.0.{n}.1:443" for n in range(LITERAL_MOST)]
    assert len(program(literal)) <= LONGEST_PROGRAM
    last = f"10.0.{LITERAL_MOST - 1}.1"
    assert passing([Packet(last, 443), Packet(last, 80)], literal) == [Packet(last, 443)]


def test_filters_of_the_same_networks_have_the_same_name() -> None:
    assert filter_id(["a", "b"]) == filter_id(["b", "a"])
    assert filter_id(["a"]) != filter_id([]) == filter_id(())
