"""Whether there is room for all copies of a VM, told before the first is made."""

import os
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.files import require_space
from shared.host.kernel_text import read_kernel_text

MIB = 1 << 20
LEFT_ALONE = 128 * MIB
"""Memory that copies leave to the rest of the host."""
COPIES_PER_PROCESSOR = 10
"""Running copies that one request may make for each processor of the host. A copy of an emulated
guest keeps one busy for about a second until it answers, and then with what its guest does."""
STARTS_PER_PROCESSOR = 2
MOST_STARTS = 16
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


def require_processors(count: int, processors: int) -> None:
    """Check that this host is fast enough for ``count`` copies that run.

    Raises:
        BangerError: ``no_space`` with how many there may be.
    """
    fitting = COPIES_PER_PROCESSOR * processors
    if count > fitting:
        raise BangerError(
            Code.NO_SPACE,
            f"not enough processors: {count} copies are to run at the same time, and the "
            f"{processors} of this host are enough for {fitting}",
            hint=f"make {fitting} of them or fewer, or copy a stopped VM: its copies are stopped",
            details={"needed": count, "available": fitting},
        )


def starts_at_once(processors: int) -> int:
    """How many copies come up at the same time. Pure."""
    return min(STARTS_PER_PROCESSOR * processors, MOST_STARTS)


def usable_processors() -> int:
    """Of this host, those that the services may use."""
    return len(os.sched_getaffinity(0))


def available_memory() -> int:
    """Bytes that programs can have without swapping (proc_meminfo(5), MemAvailable)."""
    for line in read_kernel_text(_MEMINFO).splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) << 10
    return 0
