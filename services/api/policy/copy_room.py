"""Whether there is room for all copies of a VM, told before the first is made."""

from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.files import require_space
from shared.host.kernel_text import read_kernel_text

MIB = 1 << 20
LEFT_ALONE = 128 * MIB
"""Memory that copies leave to the rest of the host."""
_MEMINFO = "/proc/meminfo"


def require_copies(directory: Path, count: int, disk: int, memory: int) -> None:
    """Check that ``count`` copies fit: ``disk`` and ``memory`` are what one takes, in bytes.

    Raises:
        BangerError: ``no_space`` with what is needed and what there is.
    """
    what = "the copy" if count == 1 else f"all {count} copies"
    hint = "make fewer of them, or free some space: banger system df"
    require_space(directory, count * disk, what, hint)
    available = available_memory()
    needed = count * memory + LEFT_ALONE
    if memory and available < needed:
        raise BangerError(
            Code.NO_SPACE,
            f"not enough memory: {what} need{'s' if count == 1 else ''} {-(-needed // MIB)} MiB, "
            f"{available // MIB} MiB is available",
            hint="make fewer of them, or stop other VMs: banger vm list",
            details={"needed": needed, "available": available},
        )


def available_memory() -> int:
    """Bytes that programs can have without swapping (proc_meminfo(5), MemAvailable)."""
    for line in read_kernel_text(_MEMINFO).splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) << 10
    return 0
