"""The owners of sockets that wait for packets: /proc/net/{tcp,udp}{,6} (proc(5))."""

from pathlib import Path

from shared.host.socket_table import open_sockets, read_table

_PROC = Path("/proc/thread-self/net")
"""The tables of the thread's network namespace; /proc/net shows those of the process."""


def ports_of_others(owner: int) -> frozenset[tuple[str, int]]:
    """(protocol, port) of every open socket whose uid is not ``owner``.

    The tables are read as a whole: a user with very many sockets must not hide those of others.
    """
    return frozenset(
        (protocol, row.local_port)
        for protocol in ("tcp", "udp")
        for family in ("", "6")
        for row in open_sockets(protocol, read_table(_PROC / f"{protocol}{family}", whole=True))
        if row.uid != owner
    )
