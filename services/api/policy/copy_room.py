"""Checks that this host has room for all copies of a VM, before the first one is made."""

import os
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.files import require_space
from shared.host.kernel_text import read_kernel_text

MIB = 1 << 20
LEFT_ALONE = 128 * MIB
"""Bytes of memory that copies leave to the rest of the host."""
COPIES_PER_PROCESSOR = 10
"""Running copies that one request may make for each processor of the host. A copy of an emulated
guest keeps one busy for about a second until it answers, and then with what its guest does."""
STARTS_PER_PROCESSOR = 2
"""Copies that start at the same time, for each processor of the host."""
MOST_STARTS = 16
"""Copies that start at the same time, on any host."""
_MEMINFO = "/proc/meminfo"


def require_copies(directory: Path, count: int, disk: int, memory: int) -> None:
    """Check that ``count`` copies fit on the disk of ``directory`` and in memory.

    ``disk`` and ``memory``: what one copy takes, in bytes.

    Raises:
        BangerError: ``no_space``, with what is needed and what is available.
    """
    what = "the copy" if count == 1 else f"all {count} copies"
    fewer = "" if count == 1 else "make fewer copies, or "
    hint = f"{fewer}free some space: banger system df"
    require_space(directory, count * disk, what, hint)
    available = available_memory()
    needed = count * memory + LEFT_ALONE
    if memory and available < needed:
        raise BangerError(
            Code.NO_SPACE,
            f"not enough memory: {what} need{'s' if count == 1 else ''} {-(-needed // MIB)} MiB, "
            f"{available // MIB} MiB is available",
            hint=f"{fewer}stop other VMs: banger vm list",
            details={"needed": needed, "available": available},
        )


def require_processors(count: int, processors: int) -> None:
    """Check that a host with ``processors`` is fast enough for ``count`` running copies.

    Raises:
        BangerError: ``no_space``, with the number of copies that it is fast enough for.
    """
    fitting = COPIES_PER_PROCESSOR * processors
    if count > fitting:
        raise BangerError(
            Code.NO_SPACE,
            f"not enough processors: {count} running copies are requested, and the "
            f"{processors} of this host are enough for {fitting}",
            hint=f"make {fitting} copies or fewer, or copy a stopped VM: its copies are stopped",
            details={"needed": count, "available": fitting},
        )


def starts_at_once(processors: int) -> int:
    """How many copies of one request start at the same time. Pure."""
    return min(STARTS_PER_PROCESSOR * processors, MOST_STARTS)


def usable_processors() -> int:
    """The number of processors that this process may use (sched_getaffinity(2))."""
    return len(os.sched_getaffinity(0))


def available_memory() -> int:
    """Bytes that new programs can use without swapping (proc_meminfo(5), MemAvailable); 0 when the
    kernel does not say."""
    for line in read_kernel_text(_MEMINFO).splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) << 10
    return 0
