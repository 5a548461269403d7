"""QEMU's own system call filter (seccomp(2)), where its build and the kernel have it.

It keeps a guest that has taken QEMU over from starting programs, changing its user, and using
calls that QEMU never needs (the option -sandbox of qemu(1)).
"""

import subprocess
from pathlib import Path

from shared.host.programs import program_environment
from shared.vmm.info import LaunchContext
from shared.vmm.probe import BootScopedCache
from shared.vmm.qemu.binary import find_program

SANDBOX = (
    "-sandbox",
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
)
PROBE_SECONDS = 10.0


def sandbox_options(context: LaunchContext) -> tuple[str, ...]:
    """``SANDBOX``, or nothing where QEMU cannot be started with it.

    QEMU is started once per boot of the host, without a machine, to find that out; it takes a tenth
    of a second. Raises ``missing_tool``.
    """
    program = find_program(context.config.qemu_bin)
    cache = BootScopedCache(context.run / "sandbox.json", f"{program} {program.stat().st_mtime_ns}")
    entry = cache.read()
    if entry is None:
        entry = {"works": _works(program)}
        cache.write(entry)
    return SANDBOX if entry.get("works") else ()


def _works(program: Path) -> bool:
    argv = [
        *(str(program), *SANDBOX, "-nodefaults", "-no-user-config"),
        *("-M", "none", "-display", "none", "-serial", "none", "-monitor", "stdio"),
    ]
    try:
        done = subprocess.run(
            argv,
            input=b"quit\n",
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
            env=program_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
