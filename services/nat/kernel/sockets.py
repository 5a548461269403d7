"""The owners of sockets that wait for packets: /proc/net/{tcp,udp}{,6} (proc(5))."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from shared.host.socket_table import InetSocket, open_sockets, read_table

_PROC = Path("/proc/thread-self/net")
"""The tables of the thread's network namespace; /proc/net shows those of the process."""


_EVERYWHERE = ("0.0.0.0", "::")


def ports_of_others(owner: int) -> frozenset[tuple[str, int]]:
    """(protocol, port) of every open socket whose uid is not ``owner``.

    The tables are read as a whole: a user with very many sockets must not hide those of others.
    """
    return frozenset((protocol, row.local_port) for protocol, row in _others(owner))


def other_holder(owner: int, address: str, port: int) -> int | None:
    """The uid of another user than ``owner`` whose socket gets what is sent to ``port`` of
    ``address``, by UDP or TCP; None when there is none."""
    for _, row in _others(owner):
        if row.local_port == port and row.local_address in (address, *_EVERYWHERE):
            return row.uid
    return None


def _others(owner: int) -> Iterator[tuple[str, InetSocket]]:
    protocols: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
    for protocol in protocols:
        for family in ("", "6"):
            table = read_table(_PROC / f"{protocol}{family}", whole=True)
            for row in open_sockets(protocol, table):
                if row.uid != owner:
                    yield protocol, row
