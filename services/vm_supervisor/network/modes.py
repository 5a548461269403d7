"""A VM's network as VMM and guest see it: user mode (the VMM's own) or a tap on the bridge.

In user mode every VM has a loopback address of its own (127.77.x.y); guest ports appear there by
forwards. In bridge mode the ``nat`` service has made the tap, and the guest's address comes from
the VM's row.
"""

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from shared.addresses.mac import mac_address
from shared.contract.messages.vm import Protocol
from shared.errors import BangerError, Code

SOCKET_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@dataclass(frozen=True)
class Forward:
    """``host:port`` on the host goes to ``guest_port`` in the guest."""

    protocol: Protocol
    host: str
    port: int
    guest_port: int


@dataclass(frozen=True)
class Outside:
    """User mode: a second network device of the guest, for the outside alone.

    The VMM connects it to the outside only while NAT is on. So NAT opens and closes while the guest
    runs, and ssh and forwards (on the first device) do not notice.
    """

    mac: str
    connected: bool
    literal: tuple[str, ...] = ()
    """Entries of the egress list, all of networks that are not globally routable."""
    address: str = "10.0.3.15/24"
    gateway: str = "10.0.3.2"


@dataclass(frozen=True)
class GuestNetwork:
    """What the VMM and the guest need to know of the VM's network.

    ``access_host``/``access_port`` is where the host reaches the guest's sshd: in user mode the VMM
    forwards it. ``address`` has its prefix length ("10.0.2.15/24").
    """

    mac: str
    address: str
    gateway: str
    """Empty where the first device does not lead outside."""
    resolvers: tuple[str, ...]
    access_host: str
    access_port: int
    outside: Outside | None = None
    tap: str = ""
    """The host's interface in bridge mode."""
    address6: str = ""
    """With its prefix length, where the guest has one. There is no way outside by IPv6."""

    @property
    def macs(self) -> tuple[str, ...]:
        """Of all its devices, in the order in which the driver attaches them."""
        return (self.mac, self.outside.mac) if self.outside else (self.mac,)


def user_network(
    vm_id: str, loopback: str, ssh_port: int, *, nat: bool, literal: Sequence[str] = ()
) -> GuestNetwork:
    """The VMM's own network, closed but for ssh; ``nat`` opens the second device, to what is
    outside and to the networks ``literal``."""
    return GuestNetwork(
        mac=mac_address(vm_id),
        address="10.0.2.15/24",
        gateway="",
        resolvers=("10.0.3.3",),
        access_host=loopback,
        access_port=ssh_port,
        outside=Outside(mac_address(f"{vm_id}-outside"), nat, tuple(literal)),
    )


def bridge_network(
    vm_id: str,
    tap: str,
    address: str,
    gateway: str,
    resolvers: tuple[str, ...],
    address6: str = "",
) -> GuestNetwork:
    """A tap that ``nat`` has put on the bridge. Addresses have their prefix length."""
    return GuestNetwork(
        mac=mac_address(vm_id),
        address=address,
        gateway=gateway,
        resolvers=resolvers,
        access_host=address.partition("/")[0],
        access_port=22,
        tap=tap,
        address6=address6,
    )


def choose_port(host: str, preferred: tuple[int, ...], protocol: Protocol = "tcp") -> int:
    """The first of ``preferred`` that can be bound on ``host``, else one the kernel picks.

    For ssh: ``choose_port("127.77.0.2", (22, 2222))``. The port is free when this returns, and not
    reserved: only this VM uses the loopback address.

    Raises:
        BangerError: ``unavailable`` when nothing can be bound on ``host``.
    """
    for port in (*(port for port in preferred if port < 65536), 0):
        bound = _bindable(host, port, protocol)
        if bound is not None:
            return bound
    raise BangerError(Code.UNAVAILABLE, f"no port can be bound on {host}")


def _bindable(host: str, port: int, protocol: Protocol) -> int | None:
    try:
        with socket.socket(socket.AF_INET, SOCKET_KINDS[protocol]) as probe:
            # With this option two UDP sockets may have the same port (socket(7)).
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, protocol == "tcp")
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            return None
        raise BangerError(Code.UNAVAILABLE, f"no port can be bound on {host}: {error}") from error
