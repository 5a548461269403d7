"""The release of QEMU: what a saved machine depends on.

The microvm machine has no versions as others have, so nothing promises that another release reads
its state. Within a release, updates (7.2.1, 7.2.2 …) leave the format of states alone.
"""

import re
import subprocess
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.programs import program_environment
from shared.vmm.info import LaunchContext
from shared.vmm.probe import BootScopedCache
from shared.vmm.qemu.binary import find_program

SAY_SECONDS = 10.0
_VERSION = re.compile(r"version (\d+)\.(\d+)")


def release(context: LaunchContext) -> str:
    """As "7.2". QEMU is asked once per boot of the host, which takes some 30 ms.

    Raises:
        BangerError: ``missing_tool``; ``incompatible`` for one that does not say.
    """
    program = find_program(context.config.qemu_bin)
    cache = BootScopedCache(context.run / "release.json", f"{program} {program.stat().st_mtime_ns}")
    entry = cache.read()
    if entry is None:
        entry = {"release": _ask(program)}
        cache.write(entry)
    return str(entry["release"])


def _ask(program: Path) -> str:
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SAY_SECONDS,
            check=False,
            env=program_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BangerError(
            Code.MISSING_TOOL,
            f"{program} cannot be run: {error}",
            hint="apt install qemu-system-x86",
        ) from error
    said = _VERSION.search(done.stdout)
    if said is None:
        raise BangerError(Code.INCOMPATIBLE, f"{program} does not say which QEMU it is")
    return f"{said[1]}.{said[2]}"
