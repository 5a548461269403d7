"""Whether the machine has nothing else to do."""

from pathlib import Path

from shared.host.kernel_text import read_kernel_text

MOST_PRESSURE = 20.0
"""Per cent of the last ten seconds in which some task waited for a processor."""


def is_quiet(proc: Path, cpus: int) -> bool:
    """By the kernel's pressure stall information (Documentation/accounting/psi.rst), or where there
    is none by the load: below one in two processors."""
    try:
        return _pressure(read_kernel_text(proc / "pressure/cpu")) < MOST_PRESSURE
    except (OSError, ValueError):
        load = float(read_kernel_text(proc / "loadavg").split()[0])
        return load < cpus / 2


def _pressure(text: str) -> float:
    """avg10 of the line "some". Raises ValueError."""
    for line in text.splitlines():
        kind, *fields = line.split()
        if kind == "some":
            return float(dict(field.split("=") for field in fields)["avg10"])
    raise ValueError("no pressure")
