"""The frequency of this host's time stamp counter, which an emulated guest sees as its own.

A guest under TCG finds its TSC frequency by watching the PIT. When the host is busy that fails,
and on the microvm machine, which has no other reference, the guest then hangs for ever in its
delay calibration ("could not calculate TSC khz"). So the frequency is measured here, where there
is a clock, and given to the guest as ``tsc_early_khz=``.
"""

import ctypes
import mmap
import platform
import time
from collections.abc import Callable

# rdtsc; shl rdx, 32; or rax, rdx; ret
_READ_TSC = bytes.fromhex("0f3148c1e2204809d0c3")

_SPAN_SECONDS = 0.1
"""With samples good to a microsecond this gives 10 ppm, under a second of drift a day."""


def host_tsc_khz() -> int | None:
    """TSC ticks per millisecond, or None where it cannot be read (no x86-64, no executable map)."""
    if platform.machine() != "x86_64":
        return None
    try:
        code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:  # a hardened host
        return None
    code.write(_READ_TSC)
    read_tsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    began, first = _sample(read_tsc)
    time.sleep(_SPAN_SECONDS)
    ended, last = _sample(read_tsc)
    return round((last - first) * 1_000_000 / (ended - began))


def _sample(read_tsc: Callable[[], int]) -> tuple[int, int]:
    """One moment in nanoseconds and in ticks: the tightest of several readings."""
    readings = []
    for _ in range(20):
        before, ticks, after = time.monotonic_ns(), read_tsc(), time.monotonic_ns()
        readings.append((after - before, (before + after) // 2, ticks))
    _, moment, ticks = min(readings)
    return moment, ticks
