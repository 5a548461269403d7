"""The QEMU binary of this host."""

import shutil
from pathlib import Path

from shared.errors import BangerError, Code

PROGRAM = "qemu-system-x86_64"


def find_program(program: str = PROGRAM) -> Path:
    """The path of ``program``, a name or a path (``qemu_bin`` of the configuration).

    Raises:
        BangerError: ``missing_tool``.
    """
    found = shutil.which(program)
    if found:
        return Path(found)
    if program == PROGRAM:
        raise BangerError(
            Code.MISSING_TOOL, "QEMU is not installed", hint="apt install qemu-system-x86"
        )
    raise BangerError(
        Code.MISSING_TOOL,
        f"{program}, which qemu_bin in the configuration names, is not installed",
        hint="correct qemu_bin, or remove it and: apt install qemu-system-x86",
    )
