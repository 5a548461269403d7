"""Which VMs nobody uses any more: ``auto_stop_stale_after``. The kernel's tables of
sockets are handed in."""

import ipaddress
import sys
from datetime import datetime
from pathlib import Path

from shared.contract.messages.vm import Vm
from shared.host.locks import holder
from shared.vm.handle import read_handle

LISTENING = 0x10000
"""Flag of a listening socket (__SO_ACCEPTCON) in /proc/net/unix."""
ESTABLISHED = "01"
"""A state in /proc/net/tcp (enum tcp_state in Linux's tcp_states.h)."""


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


def sessions(vm_run: Path, sockets: str, table: str) -> int:
    """Who is in the VM: through the ssh master, past it, and on the console. ``sockets`` is
    /proc/net/unix, ``table`` /proc/net/tcp."""
    control, handle = vm_run / "ssh.sock", read_handle(vm_run)
    past = connections(table, handle.access.host, handle.access.port) if handle else 0
    past -= has_master(sockets, control)
    on_console = holder(vm_run / "console.lock") is not None
    return open_sessions(sockets, control) + max(0, past) + on_console


def open_sessions(sockets: str, control: Path) -> int:
    """How many clients the ssh master at ``control`` has, from the text of /proc/net/unix.

    Both ends of a connection are listed, only the accepted one with the path.
    """
    count = 0
    for line in sockets.splitlines()[1:]:
        fields = line.split(maxsplit=7)
        # OpenSSH binds a temporary name and links it to the control path: it is the prefix.
        if len(fields) == 8 and fields[7].startswith(str(control)):
            count += not int(fields[3], 16) & LISTENING
    return count


def has_master(sockets: str, control: Path) -> bool:
    """Whether an ssh master listens at ``control``: it has a connection of its own to the guest."""
    return any(
        str(control) in line and int(line.split(maxsplit=7)[3], 16) & LISTENING
        for line in sockets.splitlines()[1:]
    )


def connections(table: str, host: str, port: int) -> int:
    """How many connections of this host lead to ``host``:``port``, from the text of /proc/net/tcp:
    those of plain ssh, rsync and editors, which do not come through the ssh master."""
    number = int.from_bytes(ipaddress.IPv4Address(host).packed, sys.byteorder)
    remote = f"{number:08X}:{port:04X}"
    rows = (line.split(maxsplit=4) for line in table.splitlines()[1:])
    return sum(row[2] == remote and row[3] == ESTABLISHED for row in rows)
