"""Whose sockets wait for packets on this host: /proc/net/{tcp,udp}{,6} (proc(5))."""

from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc/thread-self/net")
"""Of the thread's own network namespace; /proc/net is that of the process."""

_WAITING = {"tcp": "0A", "udp": "07"}
"""State of a socket that takes from anybody: TCP_LISTEN, and unconnected (TCP_CLOSE) for UDP."""


def ports_of_others(owner: int) -> frozenset[tuple[str, int]]:
    """(protocol, port) of every such socket whose uid is not ``owner``."""
    found: set[tuple[str, int]] = set()
    for protocol, state in _WAITING.items():
        for name in (protocol, f"{protocol}6"):
            lines = _lines(_PROC / name)
            found |= {(protocol, port) for port in waiting_ports(lines, state, owner)}
    return frozenset(found)


def waiting_ports(lines: Iterable[str], state: str, owner: int) -> set[int]:
    """Ports in the table's ``lines`` (without its heading) in ``state``, not of ``owner``."""
    rows = (line.split() for line in lines)
    return {
        int(row[1].rpartition(":")[2], 16)
        for row in rows
        if row[3] == state and int(row[7]) != owner
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()[1:]
    except FileNotFoundError:
        return []  # a kernel without IPv6
