"""Which VMs nobody uses any more: ``auto_stop_stale_after``. The host's sockets are handed in."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from shared.contract.messages.vm import Vm
from shared.host.locks import holder
from shared.host.socket_table import TCP_ESTABLISHED, InetSocket, UnixSocket
from shared.vm import files
from shared.vm.handle import read_handle


def stale(vms: list[Vm], now: datetime, limit: float, sessions: dict[str, int]) -> list[Vm]:
    """The running VMs last touched more than ``limit`` seconds ago and without a session.

    ``sessions``: open ones by VM id. A limit of 0 means that nothing is ever stale.
    """
    if limit <= 0:
        return []
    return [
        vm
        for vm in vms
        if vm.state == "running"
        and not sessions.get(vm.id)
        and (now - _last_use(vm)).total_seconds() > limit
    ]


def _last_use(vm: Vm) -> datetime:
    return datetime.fromisoformat(vm.touched_at or vm.created_at)


def sessions(
    vm_run: Path, unix: Sequence[UnixSocket], connections: Mapping[tuple[str, int], int]
) -> int:
    """How many sessions are open: through the ssh master, past it, and on the console.

    ``unix`` are this host's Unix sockets, ``connections`` its ``established`` connections.
    """
    control, handle = vm_run / files.SSH_SOCKET, read_handle(vm_run)
    past = connections.get((handle.access.host, handle.access.port), 0) if handle else 0
    past -= has_master(unix, control)
    on_console = holder(vm_run / files.CONSOLE_LOCK) is not None
    return open_sessions(unix, control) + max(0, past) + on_console


def open_sessions(sockets: Iterable[UnixSocket], control: Path) -> int:
    """How many clients the ssh master at ``control`` has."""
    return sum(not socket.listening and _is_of(socket, control) for socket in sockets)


def has_master(sockets: Iterable[UnixSocket], control: Path) -> bool:
    """Whether an ssh master listens at ``control``: it has a connection of its own to the guest."""
    return any(socket.listening and _is_of(socket, control) for socket in sockets)


def _is_of(socket: UnixSocket, control: Path) -> bool:
    """OpenSSH binds a temporary name and links it to the control path, which is its prefix."""
    return socket.path.startswith(str(control))


def established(sockets: Iterable[InetSocket]) -> Counter[tuple[str, int]]:
    """How many connections of this host lead to each (address, port), seen from its clients' side:
    those of plain ssh, rsync and editors do not come through the ssh master."""
    return Counter(
        (socket.remote_address, socket.remote_port)
        for socket in sockets
        if socket.state == TCP_ESTABLISHED
    )
