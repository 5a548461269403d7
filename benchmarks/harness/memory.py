"""What a process costs in memory, and the least that a Python process with an event loop costs."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_IDLE = "import asyncio; print(flush=True); asyncio.run(asyncio.sleep(3600))"


def proportional_set_size(pid: int) -> float:
    """In MB (10^6 bytes); line Pss of proc_pid_smaps_rollup(5)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


@contextlib.contextmanager
def idle_interpreter() -> Iterator[int]:
    """The pid of a Python that has asyncio and waits."""
    with subprocess.Popen([sys.executable, "-c", _IDLE], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid
        process.kill()
