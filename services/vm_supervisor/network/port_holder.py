"""Who has a port of the host, as far as /proc tells (proc_net_tcp, proc(5)).

The kernel lists sockets by inode; whose they are is found among the descriptors of the processes
that we may look at. A TCP socket that is bound and does not listen is in no list.
"""

from collections.abc import Iterator
from pathlib import Path

from shared.contract.messages.vm import Protocol
from shared.host.socket_table import TCP_LISTEN, inet_sockets, read_table

_EVERY = ("0.0.0.0", "::")


def holder_of(protocol: Protocol, address: str, port: int) -> str | None:
    """ "nginx (pid 4711)"; "another user's program" when it is not ours to know; None: nobody."""
    inodes: set[int] = set()
    for table in (Path(f"/proc/net/{protocol}"), Path(f"/proc/net/{protocol}6")):
        inodes.update(socket_inodes(protocol, read_table(table), address, port))
    if not inodes:
        return None
    return _process_with({f"socket:[{inode}]" for inode in inodes}) or "another user's program"


def socket_inodes(protocol: Protocol, table: bytes, address: str, port: int) -> Iterator[int]:
    """Inodes of the sockets of /proc/net/{tcp,tcp6,udp,udp6} that hold ``port`` of ``address``.
    Pure."""
    for row in inet_sockets(table):
        if row.local_port != port or (protocol == "tcp" and row.state != TCP_LISTEN):
            continue
        bound = row.local_address
        if address == bound or address in _EVERY or bound in _EVERY:
            yield row.inode


def _process_with(links: set[str]) -> str | None:
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for descriptor in (process / "fd").iterdir():
                if str(descriptor.readlink()) in links:
                    return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # it ended this moment, or is somebody else's
    return None
