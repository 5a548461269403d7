"""The handle file of a VM that has a VMM: how a new supervisor finds it again.

``run/vms/<id>/handle.json``; written before ``running`` is announced, removed when the VMM is gone.
A handle is believed only for this boot of the host and this start time of the pid.
"""

import os
from pathlib import Path

import msgspec

from shared.files import write_atomically
from shared.process import ProcessId, start_time
from shared.ssh import Access

VERSION = 1
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Handle(msgspec.Struct, kw_only=True):
    """Live kernel objects of one VM, as of its launch."""

    version: int = VERSION
    vm_id: str
    host_boot: str
    pid: int
    start_time: int
    vmm: str
    accel: str
    access: Access
    console_start: int = 0
    """Where in console.log this boot's output begins, in bytes."""
    guest_boot: str = ""
    ready: bool = False
    """Whether the guest's agent and sshd had answered."""
    ports: dict[str, int] = msgspec.field(default_factory=dict)
    """Forwards made for listening guest ports: "tcp/80" -> host port."""

    @property
    def process(self) -> ProcessId:
        return ProcessId(self.pid, self.start_time)

    @property
    def alive(self) -> bool:
        """Whether this very VMM process still runs."""
        return self.host_boot == host_boot_id() and start_time(self.pid) == self.start_time


def handle_path(vm_run: Path) -> Path:
    return vm_run / "handle.json"


def write_handle(vm_run: Path, handle: Handle) -> None:
    write_atomically(handle_path(vm_run), msgspec.json.encode(handle))


def read_handle(vm_run: Path) -> Handle | None:
    """The handle, or None when there is none or it cannot be read (truncated by a crash)."""
    try:
        handle = msgspec.json.decode(handle_path(vm_run).read_bytes(), type=Handle)
    except (OSError, msgspec.DecodeError):
        return None
    return handle if handle.version == VERSION else None


def remove_handle(vm_run: Path) -> None:
    handle_path(vm_run).unlink(missing_ok=True)


def host_boot_id() -> str:
    """This boot of the host (random(4)); BANGER_HOST_BOOT_ID stands in for it in tests."""
    return os.environ.get("BANGER_HOST_BOOT_ID") or BOOT_ID.read_text().strip()
