"""A VM that is asleep: suspended because nobody used it, and resumed when somebody does.

``suspended/asleep.json`` is published with the memory and removed with it. After a kill of the
supervisor or a reboot of the host, it says which VMs were asleep, and which ports wake them.
"""

from pathlib import Path

import msgspec

from shared.contract.ssh_access import Access
from shared.host.files import sync, write_atomically
from shared.vm import files
from shared.vm.at_rest import state_at_rest


class Asleep(msgspec.Struct, kw_only=True):
    """``asleep.json``: which ports are held for the VM. ``reason``: why it sleeps, for its row."""

    reason: str
    access: Access
    ports: dict[str, int] = msgspec.field(default_factory=dict)
    """As ``Handle.ports``."""


def write_asleep(memory: Path, asleep: Asleep) -> None:
    """Write the note into ``memory``, the directory of the saved memory. Raises OSError."""
    path = memory / files.ASLEEP
    write_atomically(path, msgspec.json.encode(asleep))
    sync(path)


def read_asleep(vm_state: Path) -> Asleep | None:
    """The note of the VM in ``vm_state``; None when it is not asleep, or the note is damaged."""
    if state_at_rest(vm_state) != "suspended" or (vm_state / files.RESTORING).exists():
        return None
    try:
        content = (vm_state / files.SUSPENDED / files.ASLEEP).read_bytes()
        return msgspec.json.decode(content, type=Asleep)
    except (OSError, msgspec.DecodeError):
        return None


def forget_asleep(vm_state: Path) -> None:
    """Remove the note: the VM stays suspended until a user resumes it. Raises OSError."""
    (vm_state / files.SUSPENDED / files.ASLEEP).unlink(missing_ok=True)
