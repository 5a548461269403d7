"""The handle file of a VM that has a VMM: how a new supervisor finds it again.

``run/vms/<id>/handle.json`` is written before the VM is announced as running, and removed when the
VMM is gone. A handle counts only for this boot of the host and this start time of the pid.
"""

import signal
from pathlib import Path
from typing import Literal

import msgspec

from shared.contract.messages.vm import Publication, VmmName
from shared.contract.ssh_access import Access
from shared.host.boot_id import host_boot_id
from shared.host.files import write_atomically
from shared.host.process import ProcessId, send_signal, start_time
from shared.vm import files
from shared.vm.saved import MachineFacts

VERSION = 1
Beginning = Literal["boot", "resumed", "copy"]
"""How a guest came to run. resumed: it is itself of an earlier moment, so its clock is to be set.
copy: it is the image of another one, and not ``ready`` before it has an identity of its own."""


class Handle(msgspec.Struct, kw_only=True):
    """Live kernel objects of one VM, as of its launch."""

    version: int = VERSION
    vm_id: str
    host_boot: str
    pid: int
    start_time: int
    vmm: VmmName
    accel: str
    access: Access
    console_start: int = 0
    """Where in console.log this boot's output begins, in bytes."""
    guest_boot: str = ""
    ready: bool = False
    """Whether the guest's agent and sshd had answered."""
    ports: dict[str, int] = msgspec.field(default_factory=dict)
    """Forwards made for listening guest ports: "tcp/80" -> host port."""
    publish: list[Publication] = msgspec.field(default_factory=list)
    """User mode: published ports that the VMM leads to the guest."""
    beginning: Beginning = "boot"
    loading: bool = False
    """Whether the VMM was to load a saved machine, and the guest did not run yet."""
    waits: bool = False
    """Whether its guest stands still until it is handed over to a user."""
    halted: ProcessId | None = None
    """The ssh master, which stands still with such a guest. It would notice no end of its guest."""
    facts: MachineFacts | None = None
    """What a start from this machine, saved, would need; None when only a restart tells."""

    @property
    def process(self) -> ProcessId:
        return ProcessId(self.pid, self.start_time)

    @property
    def alive(self) -> bool:
        """Whether this very VMM process still runs."""
        return self.host_boot == host_boot_id() and start_time(self.pid) == self.start_time


def handle_path(vm_run: Path) -> Path:
    return vm_run / files.HANDLE


def write_handle(vm_run: Path, handle: Handle) -> None:
    """Write the handle and a copy of it: a damaged one must not cost a running VM. Raises as
    ``write_atomically``."""
    content = msgspec.json.encode(handle)
    for path in _copies(vm_run):
        write_atomically(path, content)


def read_handle(vm_run: Path) -> Handle | None:
    """The handle, or its copy, or None when neither can be read."""
    for path in _copies(vm_run):
        handle = _read(path)
        if handle is not None:
            return handle
    return None


def mend_handle(vm_run: Path, handle: Handle) -> bool:
    """Write the handle again if it or its copy is not what it should be; True when that was needed.
    Raises as ``write_handle``."""
    if all(_read(path) == handle for path in _copies(vm_run)):
        return False
    write_handle(vm_run, handle)
    return True


def remove_handle(vm_run: Path) -> None:
    """Remove the handle, and end the process that only it knows of."""
    handle = read_handle(vm_run)
    if handle and handle.halted and handle.host_boot == host_boot_id():
        send_signal(handle.halted, signal.SIGKILL)
    for path in _copies(vm_run):
        path.unlink(missing_ok=True)


def _copies(vm_run: Path) -> tuple[Path, Path]:
    return handle_path(vm_run), vm_run / files.HANDLE_COPY


def _read(path: Path) -> Handle | None:
    try:
        handle = msgspec.json.decode(path.read_bytes(), type=Handle)
    except (OSError, msgspec.DecodeError):
        return None
    return handle if handle.version == VERSION else None
