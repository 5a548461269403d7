"""A VM that is asleep: suspended because nobody used it, and to come back when somebody does.

``suspended/asleep.json`` is published with the memory and taken away with it. So a supervisor that
was killed, or a host that was booted again, finds who was asleep, and where connections to it come.
"""

from pathlib import Path

import msgspec

from shared.contract.ssh_access import Access
from shared.host.files import sync, write_atomically
from shared.vm import files
from shared.vm.at_rest import state_at_rest


class Asleep(msgspec.Struct, kw_only=True):
    """What is held for the VM. ``reason``: why it sleeps, for its row."""

    reason: str
    access: Access
    ports: dict[str, int] = msgspec.field(default_factory=dict)
    """As ``Handle.ports``."""


def write_asleep(memory: Path, asleep: Asleep) -> None:
    """Note it in the directory of the saved memory. Raises OSError."""
    path = memory / files.ASLEEP
    write_atomically(path, msgspec.json.encode(asleep))
    sync(path)


def read_asleep(vm_state: Path) -> Asleep | None:
    """None for a VM that is not asleep; a file that is damaged means the same."""
    if state_at_rest(vm_state) != "suspended" or (vm_state / files.RESTORING).exists():
        return None
    try:
        content = (vm_state / files.SUSPENDED / files.ASLEEP).read_bytes()
        return msgspec.json.decode(content, type=Asleep)
    except (OSError, msgspec.DecodeError):
        return None


def forget_asleep(vm_state: Path) -> None:
    """From now on the VM is suspended until somebody resumes it. Raises OSError."""
    (vm_state / files.SUSPENDED / files.ASLEEP).unlink(missing_ok=True)
