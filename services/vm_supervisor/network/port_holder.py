"""Who has a port of the host, as far as /proc tells (proc_net_tcp, proc(5)).

The kernel lists sockets by inode; whose they are is found among the descriptors of the processes
that we may look at. A TCP socket that is bound and does not listen is in no list.
"""

from collections.abc import Iterator
from pathlib import Path

from services.vm_supervisor.guest.sockets import decode_address
from shared.contract.messages.vm import Protocol

_EVERY = ("0.0.0.0", "::")
_LISTEN = "0A"


def holder_of(protocol: Protocol, address: str, port: int) -> str | None:
    """ "nginx (pid 4711)"; "another user's program" when it is not ours to know; None: nobody."""
    inodes: set[str] = set()
    for table in (Path(f"/proc/net/{protocol}"), Path(f"/proc/net/{protocol}6")):
        try:
            inodes.update(socket_inodes(protocol, table.read_text(), address, port))
        except OSError:
            continue  # a host without IPv6
    if not inodes:
        return None
    return _process_with({f"socket:[{inode}]" for inode in inodes}) or "another user's program"


def socket_inodes(protocol: Protocol, table: str, address: str, port: int) -> Iterator[str]:
    """Inodes of the sockets of /proc/net/{tcp,tcp6,udp,udp6} that hold ``port`` of ``address``.
    Pure."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or (protocol == "tcp" and fields[3] != _LISTEN):
            continue
        held, _, number = fields[1].partition(":")
        if int(number, 16) == port:
            bound = decode_address(held)
            if address == bound or address in _EVERY or bound in _EVERY:
                yield fields[9]


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
