"""What a test has left running, told by the run directory in its environment."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.integration.stack import eventually

ENDING_SECONDS = 5.0
"""What a process that is ending already may take."""


def processes_of(run_dir: Path) -> dict[int, str]:
    """pid → command line of everything that runs with this run directory."""
    mark = f"BANGER_RUN_DIR={run_dir}".encode()
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (directory / "environ").read_bytes().split(b"\0"):
                line = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(directory.name)] = line
        except OSError:
            continue  # it ended while we looked, or is not ours to look at
    return found


def expect_nothing_running(run_dir: Path) -> None:
    """Fails when something still runs after a moment, and ends it."""
    try:
        eventually(lambda: not processes_of(run_dir), patience=ENDING_SECONDS)
    except AssertionError as error:
        left = processes_of(run_dir)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise AssertionError(f"left running: {left}") from error
