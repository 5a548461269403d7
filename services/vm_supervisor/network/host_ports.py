"""Ports of the host that are held for a VM, and the processes that hold others.

A socket that is bound keeps others from taking its port. It does not listen: in bridge mode the
kernel leads what arrives to the guest before it would reach the socket.
"""

import contextlib
import errno
import socket
from collections.abc import Iterator
from pathlib import Path

from services.vm_supervisor.network.modes import SOCKET_KINDS
from shared.contract.messages.vm import Protocol, Publication
from shared.errors import BangerError, Code
from shared.host.kernel_text import read_process_name
from shared.host.socket_table import TCP_LISTEN, inet_sockets, read_table

_EVERY = ("0.0.0.0", "::")


def reserve(publication: Publication) -> socket.socket | None:
    """Bind the host port of ``publication``; None for a privileged port that nobody holds.

    Raises as ``bind``, but for ``denied``.
    """
    host, port, protocol = publication.host_address, publication.host_port, publication.protocol
    try:
        return bind(protocol, host, port)
    except BangerError as error:
        if error.code is not Code.DENIED:
            raise
    if holder := holder_of(protocol, host, port):
        raise _taken(protocol, host, port, holder)
    return None


def bind(protocol: Protocol, host: str, port: int) -> socket.socket:
    """A socket that has the port to itself.

    Raises:
        BangerError: ``conflict`` naming port and holder, ``denied`` for a privileged port,
            ``invalid`` for an address that this host does not have, ``unavailable`` when the
            kernel has no socket left.
    """
    try:
        bound = socket.socket(socket.AF_INET, SOCKET_KINDS[protocol])
    except OSError as error:
        raise _refusal(error, protocol, host, port) from error
    try:
        if protocol == "tcp":
            _bind_tcp(bound, host, port)
        else:
            bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise _refusal(error, protocol, host, port) from error
    return bound


def _bind_tcp(bound: socket.socket, host: str, port: int) -> None:
    """Connections of an earlier holder that time out must not be in the way, hence SO_REUSEADDR;
    but two that have it may both bind. Only one may listen: so listen for a moment (shutdown(2)
    ends it, the port stays bound), and without the option from then on nobody else can bind."""
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    bound.listen(0)
    bound.shutdown(socket.SHUT_RDWR)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


def _refusal(error: OSError, protocol: Protocol, host: str, port: int) -> BangerError:
    match error.errno:
        case errno.EADDRINUSE:
            return _taken(protocol, host, port, holder_of(protocol, host, port))
        case errno.EACCES:
            return BangerError(
                Code.DENIED,
                f"this user may not bind {protocol} port {port}",
                hint="ports from sysctl net.ipv4.ip_unprivileged_port_start on are free to all",
            )
        case errno.EADDRNOTAVAIL:
            return BangerError(
                Code.INVALID,
                f"{host} is not an address of this host",
                hint="publish on 127.0.0.1, on one of its addresses, or on 0.0.0.0 for all",
            )
    message = f"{protocol} port {port} of {host} cannot be bound: {error.strerror}"
    return BangerError(Code.UNAVAILABLE, message)


def _taken(protocol: Protocol, host: str, port: int, holder: str | None) -> BangerError:
    return BangerError(
        Code.CONFLICT,
        f"{protocol} port {port} of {host} is taken by {holder or 'another program'}",
        hint="publish another port of the host, or end the program that has this one",
    )


def holder_of(protocol: Protocol, address: str, port: int) -> str | None:
    """The process that holds a port: "nginx (pid 4711)", or None when nobody does.

    "another user's program" is a process whose descriptors this user may not read. A TCP socket
    that is bound and does not listen is in no table of the kernel's.
    """
    inodes: set[int] = set()
    for table in (Path(f"/proc/net/{protocol}"), Path(f"/proc/net/{protocol}6")):
        with contextlib.suppress(OSError):
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
                    return f"{read_process_name(int(process.name))} (pid {process.name})"
        except OSError:
            continue  # it ended this moment, or is another user's
    return None
