"""Ports of the host that are ours while a VM publishes them.

A socket that is bound keeps others from taking the port. It does not listen: in bridge mode what
arrives is led to the guest by the kernel before it would come here.
"""

import errno
import socket

from services.vm_supervisor.network.modes import SOCKET_KINDS
from services.vm_supervisor.network.port_holder import holder_of
from shared.contract.messages.vm import Protocol, Publication
from shared.errors import BangerError, Code


def reserve(publication: Publication) -> socket.socket | None:
    """Take the port; None for one that the kernel keeps for root and nobody has.

    Raises as ``bind``, but for ``denied``.
    """
    host, port, protocol = publication.host_address, publication.host_port, publication.protocol
    try:
        return bind(protocol, host, port)
    except BangerError as error:
        if error.code is not Code.DENIED:
            raise
    if holder := holder_of(protocol, host, port):
        raise taken(protocol, host, port, holder)
    return None


def bind(protocol: Protocol, host: str, port: int) -> socket.socket:
    """A socket that has the port to itself.

    Raises:
        BangerError: ``conflict`` naming port and holder, ``denied`` for a port that is root's,
            ``invalid`` for an address that this host does not have.
    """
    bound = socket.socket(socket.AF_INET, SOCKET_KINDS[protocol])
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
    ends it, the port stays ours), and without the option from then on nobody else can bind."""
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    bound.listen(0)
    bound.shutdown(socket.SHUT_RDWR)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


def taken(protocol: Protocol, host: str, port: int, holder: str | None) -> BangerError:
    """The error that names who has the port."""
    return BangerError(
        Code.CONFLICT,
        f"{protocol} port {port} of {host} is taken by {holder or 'another program'}",
        hint="publish another port of the host, or end what has this one",
    )


def _refusal(error: OSError, protocol: Protocol, host: str, port: int) -> BangerError:
    match error.errno:
        case errno.EADDRINUSE:
            return taken(protocol, host, port, holder_of(protocol, host, port))
        case errno.EACCES:
            return BangerError(
                Code.DENIED,
                f"{protocol} port {port} is one that this user may not bind",
                hint="ports from sysctl net.ipv4.ip_unprivileged_port_start on are free to all",
            )
        case errno.EADDRNOTAVAIL:
            return BangerError(
                Code.INVALID,
                f"{host} is no address of this host",
                hint="publish on 127.0.0.1, on one of its addresses, or on 0.0.0.0 for all",
            )
    return BangerError(Code.INTERNAL, f"{protocol} port {port} of {host}: {error}")
