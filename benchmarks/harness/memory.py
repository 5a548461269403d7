"""What a process costs in memory, and the least that a Python process with an event loop costs."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

_IDLE = "import asyncio; print(flush=True); asyncio.run(asyncio.sleep(3600))"
_EVERY = 0.03
"""Seconds between two looks: the kernel keeps the peak, so only short lives are missed."""


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


class Peaks:
    """The peak resident set of every process below ``roots``, while the context lasts.

    VMMs and what they start are left out, and the caller's own process.
    """

    def __init__(self, roots: Iterable[int]) -> None:
        self.megabytes: dict[str, float] = {}
        """By command line (its first 80 characters): VmHWM of proc_pid_status(5), in 10^6 bytes."""
        self._roots = list(roots)
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_on)

    def __enter__(self) -> "Peaks":
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    @property
    def largest(self) -> float:
        """0.0 when every process ended before it was looked at."""
        return max(self.megabytes.values(), default=0.0)

    def _look_on(self) -> None:
        while not self._over.wait(_EVERY):
            for root in self._roots:
                self._look_at(root)

    def _look_at(self, pid: int) -> None:
        with contextlib.suppress(OSError, StopIteration):  # it ends while it is looked at
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            if "qemu-system" in command:
                return
            if pid != os.getpid():
                self._note(command[:80], Path(f"/proc/{pid}/status").read_text())
            for thread in Path(f"/proc/{pid}/task").iterdir():
                for child in (thread / "children").read_text().split():
                    self._look_at(int(child))

    def _note(self, command: str, status: str) -> None:
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        peak = int(line.split()[1]) * 1024 / 1e6
        self.megabytes[command] = max(peak, self.megabytes.get(command, 0.0))
