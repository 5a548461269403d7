"""System programs that change the host's network: where they are, and how one is run."""

import shutil
import subprocess

from shared.errors import BangerError, Code
from shared.host.programs import SYSTEM_PATH

TIMEOUT = 20.0
"""Seconds for one run. It takes milliseconds unless something is wrong with the kernel."""


def find(name: str) -> str | None:
    """The path of a program; None when it is not installed."""
    return shutil.which(name, path=SYSTEM_PATH)


def run(name: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program to its end with ``text`` as its input, whatever its exit status.

    Raises:
        BangerError: ``unavailable`` when it cannot be run, or does not end in time.
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
        raise BangerError(Code.UNAVAILABLE, f"{name} could not be run: {error}") from error
