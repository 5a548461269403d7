"""Which ports a guest listens on, read from its kernel's socket tables. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.contract.messages.vm import Protocol
from shared.host.socket_table import open_sockets


@dataclass(frozen=True, order=True)
class ListeningPort:
    """A socket that accepts connections (TCP) or datagrams from anyone (UDP)."""

    protocol: Protocol
    port: int
    address: str


def parse_sockets(protocol: Protocol, table: bytes) -> Iterator[ListeningPort]:
    """The listening sockets of one /proc/net/{tcp,tcp6,udp,udp6}."""
    for row in open_sockets(protocol, table):
        yield ListeningPort(protocol, row.local_port, row.local_address)
