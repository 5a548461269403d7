"""Whether the machine has nothing else to do."""

from pathlib import Path

from shared.host.kernel_text import read_kernel_text

ALWAYS = 100.0


def is_quiet(proc: Path, cpus: int, most: float) -> bool:
    """By the kernel's pressure stall information (Documentation/accounting/psi.rst), or where there
    is none by the load: below one in two processors. ``most``: per cent of the last ten seconds in
    which some task waited for a processor."""
    if most >= ALWAYS:
        return True
    try:
        return pressure_of(read_kernel_text(proc / "pressure/cpu")) < most
    except (OSError, ValueError):
        load = float(read_kernel_text(proc / "loadavg").split()[0])
        return load < cpus / 2


def pressure_of(text: str) -> float:
    """avg10 of the line "some". Raises ValueError."""
    for line in text.splitlines():
        kind, *fields = line.split()
        if kind == "some":
            return float(dict(field.split("=") for field in fields)["avg10"])
    raise ValueError("no pressure")
