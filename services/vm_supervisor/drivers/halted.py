"""A guest that has halted: its processors stand still for ever, and only its console says so."""

import asyncio
import re
from pathlib import Path

from services.vm_supervisor.drivers.exit import tail

LOOK_SECONDS = 3.0
"""Between looks at the console."""
_HALTED = re.compile(r"\[ *\d+\.\d+\] reboot: System halted\s*\Z")
"""The kernel's last line (kernel/reboot.c, kernel_halt)."""


async def wait_until_halted(console: Path, start: int, seconds: float = LOOK_SECONDS) -> None:
    """Return when the console ends with the kernel's word that it has halted.

    ``start``: the offset in ``console`` at which the boot begins. A guest may write the line
    itself: it may power itself off as well.
    """
    seen = -1
    while True:
        size = console.stat().st_size if console.exists() else 0
        if size != seen and is_halted(tail(console, start)):
            return
        seen = size
        await asyncio.sleep(seconds)


def is_halted(console: str) -> bool:
    """Whether nothing follows the kernel's last line."""
    return bool(_HALTED.search(console))
