"""What the program of a VMM says of itself."""

import subprocess
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.programs import program_environment

SAY_SECONDS = 10.0


def own_version(program: Path, hint: str) -> str:
    """What ``program --version`` prints; takes 5 to 30 ms.

    Raises:
        BangerError: ``missing_tool``, with ``hint``, when it cannot be run or says nothing in time.
    """
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
        message = f"{program} cannot be run: {error}"
        raise BangerError(Code.MISSING_TOOL, message, hint=hint) from error
    return done.stdout
