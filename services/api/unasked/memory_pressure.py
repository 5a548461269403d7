"""Whether the host's memory is needed for something else than VMs that nobody uses."""

from pathlib import Path

from services.api.unasked.quiet import pressure_of
from shared.host.kernel_text import read_kernel_text

MOST_PRESSURE = 5.0
"""Per cent of the last ten seconds in which some task waited for memory."""
LEFT_BYTES = 512 << 20
LEFT_SHARE = 0.1
"""What is left to the rest of the host: the larger one of both, of all memory."""


def is_short_of_memory(proc: Path, besides: int = 0) -> bool:
    """By the kernel's pressure stall information (Documentation/accounting/psi.rst) where there is
    some, and by MemAvailable (proc_meminfo(5)). ``besides``: bytes that are to be taken."""
    memory = _meminfo(read_kernel_text(proc / "meminfo"))
    left = max(LEFT_BYTES, int(LEFT_SHARE * memory["MemTotal"]))
    if memory["MemAvailable"] < left + besides:
        return True
    try:
        return pressure_of(read_kernel_text(proc / "pressure/memory")) > MOST_PRESSURE
    except (OSError, ValueError):
        return False


def _meminfo(text: str) -> dict[str, int]:
    """Its lines that count kibibytes, in bytes."""
    sizes = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            sizes[name] = int(rest.removesuffix(" kB")) << 10
    return sizes
