"""The frequency of this host's time stamp counter, which an emulated guest sees as its own.

A guest under TCG measures its TSC against the PIT. On a busy host this fails. The microvm machine
has no other reference, so the guest then hangs in its delay calibration ("could not calculate TSC
khz"). Therefore the host measures the frequency against its own clock, and the guest gets it as
``tsc_early_khz=``.
"""

import ctypes
import mmap
import platform
import time
from collections.abc import Callable

# rdtsc; shl rdx, 32; or rax, rdx; ret
_READ_TSC = bytes.fromhex("0f3148c1e2204809d0c3")

_SPAN_SECONDS = 0.1
"""Samples that are right to a microsecond give 10 ppm: less than a second of drift a day."""


def host_tsc_khz() -> int | None:
    """TSC ticks per millisecond, or None where the TSC cannot be read: the machine is not x86-64 or
    allows no executable memory."""
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
    """One moment in nanoseconds and in ticks: the reading that took the shortest time."""
    readings = []
    for _ in range(20):
        before, ticks, after = time.monotonic_ns(), read_tsc(), time.monotonic_ns()
        readings.append((after - before, (before + after) // 2, ticks))
    _, moment, ticks = min(readings)
    return moment, ticks
