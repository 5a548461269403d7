"""Steps with a name, a deadline and a line that says how long each took."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ENDING_SECONDS = 10.0
"""What a program gets to end after SIGTERM, before SIGKILL."""


class StepFailed(Exception):
    """A program that failed or was late. The message says which, and where its output is."""


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Announce ``name``; when it is over, tell the seconds it took."""
    print(f"smoke-kvm: {name} …", flush=True)
    began = time.monotonic()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        print(f"smoke-kvm: {name}: {outcome}, {time.monotonic() - began:.1f} s", flush=True)


@dataclass(frozen=True)
class Runner:
    """Runs programs with ``environment``; their output goes to ``log``."""

    log: Path
    environment: Mapping[str, str]

    def run(self, argv: Sequence[str], seconds: float, *, shown: bool = False) -> int:
        """Run to the end; returns the status. ``shown``: output goes to the terminal instead.

        Raises:
            StepFailed: it was not over after ``seconds``; it has been ended.
        """
        with self.started(argv, shown=shown) as program:
            try:
                return program.wait(seconds)
            except subprocess.TimeoutExpired:
                raise StepFailed(f"{words(argv)}: not over after {seconds:.0f} s") from None

    def must(self, argv: Sequence[str], seconds: float, *, shown: bool = False) -> None:
        """Like ``run``, and any other status than 0 is a failure."""
        before = self.log.stat().st_size if self.log.exists() else 0
        status = self.run(argv, seconds, shown=shown)
        if status != 0:
            said = self.log.read_bytes()[before:].decode(errors="replace").strip()
            raise StepFailed(f"{words(argv)}: status {status}\n{said[-2000:]}".rstrip())

    @contextlib.contextmanager
    def started(
        self, argv: Sequence[str], *, shown: bool = False, stdin: int = subprocess.DEVNULL
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """The running program, in a session of its own: a Ctrl-C is ours to pass on. On the way
        out it is ended if it still runs."""
        with self.log.open("ab") as log:
            out = None if shown else log
            program = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=out,
                stderr=subprocess.STDOUT if shown is False else sys.stderr,
                env=dict(self.environment),
                start_new_session=True,
            )
        try:
            yield program
        finally:
            _end(program)


def words(argv: Sequence[str], limit: int = 100) -> str:
    """The command line for people, cut."""
    line = " ".join([Path(argv[0]).name, *argv[1:]]).replace("\n", "; ")
    return line if len(line) <= limit else f"{line[:limit]}…"


def _end(program: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if program.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(ENDING_SECONDS)
