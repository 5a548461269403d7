"""Who is connected to a VM's ports, told by the sockets of this host. ssh sessions are counted
elsewhere (services/api/policy/idle.py)."""

from collections.abc import Iterable
from pathlib import Path

from shared.contract.messages.vm import Vm
from shared.host.socket_table import (
    TCP_CLOSE_WAIT,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    InetSocket,
    inet_sockets,
    read_table,
)
from shared.vm.handle import Handle

OPEN = (TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_CLOSE_WAIT)
"""Something may still come in one direction at least, as the answer to a request whose end was
said."""


def connections_to(vm: Vm, handle: Handle) -> int:
    """How many TCP connections lead to forwarded or published ports of the VM.

    User mode: those that its VMM, or its supervisor, has taken. Bridge mode: those that programs of
    this host have opened to the guest; nobody but nat sees what is only passed on.
    """
    rows = inet_sockets(read_table(Path("/proc/net/tcp")))
    return count_connections(rows, vm, handle)


def in_use(vm: Vm, handle: Handle) -> bool:
    """Whether there is a connection that the VMM's end would break, to ssh too: but the one that
    sessions share, which is ours and has none now."""
    rows = list(inet_sockets(read_table(Path("/proc/net/tcp"))))
    ssh = (handle.access.host, handle.access.port)
    to_ssh = sum(
        (each.remote_address, each.remote_port) == ssh and each.state in OPEN for each in rows
    )
    return to_ssh > 1 or count_connections(rows, vm, handle) > 0


def count_connections(sockets: Iterable[InetSocket], vm: Vm, handle: Handle) -> int:
    """As ``connections_to``, from these sockets. Pure."""
    open_ones = (socket for socket in sockets if socket.state in OPEN)
    if vm.network == "bridge":
        ssh = (handle.access.host, handle.access.port)
        return sum(
            each.remote_address == vm.address and (each.remote_address, each.remote_port) != ssh
            for each in open_ones
        )
    ports = {(vm.address, port) for key, port in handle.ports.items() if key.startswith("tcp/")}
    ports |= {(each.host_address, each.host_port) for each in handle.publish}
    return sum(
        (each.local_address, each.local_port) in ports or ("0.0.0.0", each.local_port) in ports
        for each in open_ones
    )
