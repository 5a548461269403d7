"""Which VMs nobody uses any more: ``auto_stop_stale_after``. Pure but for counting sessions."""

from datetime import datetime
from pathlib import Path

from shared.messages.vm import Vm

LISTENING = 0x10000
"""Flag of a listening socket (__SO_ACCEPTCON) in /proc/net/unix."""


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
