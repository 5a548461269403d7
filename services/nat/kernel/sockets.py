"""Whose sockets wait for packets on this host: /proc/net/{tcp,udp}{,6} (proc(5))."""

from pathlib import Path

from shared.host.socket_table import open_sockets, read_table

_PROC = Path("/proc/thread-self/net")
"""Of the thread's own network namespace; /proc/net is that of the process."""


def ports_of_others(owner: int) -> frozenset[tuple[str, int]]:
    """(protocol, port) of every such socket whose uid is not ``owner``."""
    return frozenset(
        (protocol, row.local_port)
        for protocol in ("tcp", "udp")
        for family in ("", "6")
        for row in open_sockets(protocol, read_table(_PROC / f"{protocol}{family}"))
        if row.uid != owner
    )
