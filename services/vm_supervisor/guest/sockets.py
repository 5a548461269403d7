"""Which ports a guest listens on, read from the kernel's socket tables.

Format: Documentation/networking/proc_net_tcp.rst of Linux. Pure: text in, ports out.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.contract.messages.vm import Protocol

_LISTEN: dict[Protocol, str] = {"tcp": "0A", "udp": "07"}
"""TCP_LISTEN, and what an unconnected UDP socket shows (TCP_CLOSE)."""
_LOCAL = re.compile(r"([0-9A-F]{8}|[0-9A-F]{32}):(?!0000)[0-9A-F]{4}")


@dataclass(frozen=True, order=True)
class ListeningPort:
    """A socket that accepts connections (TCP) or datagrams from anyone (UDP)."""

    protocol: Protocol
    port: int
    address: str


def parse_sockets(protocol: Protocol, table: str) -> Iterator[ListeningPort]:
    """The listening sockets of one /proc/net/{tcp,tcp6,udp,udp6}; lines that no kernel would write
    are skipped."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == _LISTEN[protocol] and _LOCAL.fullmatch(fields[1]):
            address, _, port = fields[1].partition(":")
            yield ListeningPort(protocol, int(port, 16), decode_address(address))


def decode_address(text: str) -> str:
    """``0100007F`` is 127.0.0.1: 32-bit words in the guest's byte order (little-endian)."""
    raw = bytes.fromhex(text)
    words = [raw[i : i + 4][::-1] for i in range(0, len(raw), 4)]
    address = ipaddress.ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
