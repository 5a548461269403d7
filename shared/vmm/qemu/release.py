"""The release of QEMU: what a saved machine depends on.

The microvm machine has no versions as others have, so nothing promises that another release reads
its state. Within a release, updates (7.2.1, 7.2.2 …) leave the format of states alone.
"""

import re
from pathlib import Path

from shared.errors import BangerError, Code
from shared.vmm.info import LaunchContext
from shared.vmm.own_version import own_version
from shared.vmm.probe import BootScopedCache
from shared.vmm.qemu.binary import find_program

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


def release_of(answer: object) -> str:
    """The same of a QEMU that runs, by its answer to query-version (QEMU QMP Reference).

    Raises:
        BangerError: ``incompatible`` for one that does not say.
    """
    match answer:
        case {"qemu": {"major": int(major), "minor": int(minor)}}:
            return f"{major}.{minor}"
    raise BangerError(Code.INCOMPATIBLE, "QEMU does not say which release it is")


def _ask(program: Path) -> str:
    said = _VERSION.search(own_version(program, "apt install qemu-system-x86"))
    if said is None:
        raise BangerError(Code.INCOMPATIBLE, f"{program} does not say which QEMU it is")
    return f"{said[1]}.{said[2]}"
