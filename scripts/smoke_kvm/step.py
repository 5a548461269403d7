"""Steps with a name, a deadline and a line that says how long each took."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ENDING_SECONDS = 10.0
"""What a program gets to end after SIGTERM, before SIGKILL."""


class StepFailed(Exception):
    """A program that failed or was late. The message says which, and where its output is."""


class HostLost(StepFailed):
    """The machine that the programs were at work in has stopped."""


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


class Runner:
    """Runs programs with ``environment``; their output goes to ``log``."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        self.environment = environment
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lost = ""
        self._starting = threading.Lock()

    def give_up(self, reason: str) -> None:
        """Kill what runs; that and whatever is run later raises ``HostLost``. For any thread."""
        with self._starting:
            self._lost = reason
            for program in self._running:
                _signal(program, signal.SIGKILL)

    def run(self, argv: Sequence[str], seconds: float, *, shown: bool = False) -> int:
        """Run to the end; returns the status. ``shown``: output goes to the terminal instead.

        Raises:
            StepFailed: it was not over after ``seconds``; it has been ended.
            HostLost: after ``give_up``.
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
        out it is ended if it still runs.

        Raises:
            HostLost: after ``give_up``, also when that came while the program ran.
        """
        with self._starting, self.log.open("ab") as log:
            self._check()
            program = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=None if shown else log,
                stderr=subprocess.STDOUT if shown is False else sys.stderr,
                env=dict(self.environment),
                start_new_session=True,
            )
            self._running.add(program)
        try:
            yield program
            self._check()
        finally:
            with self._starting:
                self._running.remove(program)
            _end(program)

    def _check(self) -> None:
        if self._lost:
            raise HostLost(self._lost)


def words(argv: Sequence[str], limit: int = 100) -> str:
    """The command line for people, cut."""
    line = " ".join([Path(argv[0]).name, *argv[1:]]).replace("\n", "; ")
    return line if len(line) <= limit else f"{line[:limit]}…"


def _end(program: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if program.poll() is not None:
            return
        _signal(program, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(ENDING_SECONDS)


def _signal(program: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """To all of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, number)
