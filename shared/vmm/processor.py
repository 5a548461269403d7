"""What identifies the processor that a guest under KVM sees as its own.

A saved guest goes on only where the same instructions and registers are. Two hosts with the same
words here have them; kernels and microcode may take some away, which the flags show.
"""

import hashlib
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_IDENTITY = ("model name", "cpu family", "model", "stepping")


def host_processor(cpuinfo: str = "") -> str:
    """The first processor of the host: its name, family, model, stepping, and a sum of its flags.

    ``cpuinfo``: the text of /proc/cpuinfo (proc(5)), if not this host's.
    """
    first = (cpuinfo or CPUINFO.read_text()).split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    name, *numbers = (fields.get(key, "?") for key in _IDENTITY)
    flags = " ".join(sorted(fields.get("flags", "").split()))
    features = hashlib.sha256(flags.encode()).hexdigest()[:12]
    return f"{name} ({'/'.join(numbers)}, flags {features})"
