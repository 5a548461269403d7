"""What a VM without a VMM is, told by its files: a row that says otherwise is corrected by them.

``suspended/`` is published before the VMM of a suspended VM is ended, and taken away before a
guest runs on from it. So it is there exactly as long as no guest has run since.
"""

from pathlib import Path
from typing import Literal

from shared.vm import files


def state_at_rest(vm_state: Path) -> Literal["stopped", "suspended"]:
    """Whether the VM with the state directory ``vm_state`` would boot, or go on."""
    coming = vm_state / files.RESTORING
    memory = coming if coming.exists() else vm_state / files.SUSPENDED
    return "suspended" if (memory / files.MEMORY).exists() else "stopped"
