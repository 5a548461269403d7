"""Programs of the system that change its network: where they are, and how one is run."""

import shutil
import subprocess

from shared.errors import BangerError, Code
from shared.host.programs import SYSTEM_PATH

TIMEOUT = 20.0
"""Seconds for one run; it takes milliseconds unless the kernel is in trouble."""


def find(name: str) -> str | None:
    """Its path; None when it is not installed."""
    return shutil.which(name, path=SYSTEM_PATH)


def run(name: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run it to its end with ``text`` as its input, whatever its status.

    Raises:
        BangerError: ``unavailable`` when it does not run, or not end in time.
    """
    try:
        return subprocess.run(
            [find(name) or name, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BangerError(Code.UNAVAILABLE, f"{name} did not run: {error}") from error
