"""Directories of their own, and services as real processes in them that leave nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from shared.paths import Paths
from tests.integration.peer import Peer, Silence
from tests.integration.stack import eventually
from tests.leftovers import processes_of

ROOT = Path(__file__).parents[2]
CORE = """\
broker: python -m services.broker
store: python -m services.store
echo: python -m tests.integration.echo_service
"""
"""The smallest stack: routing, the database, and a service that does what it is told."""


class Home:
    """A user's directories for one test, in a path short enough for sockets."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="bngr", dir="/tmp"))
        self.environment = os.environ | {
            "HOME": str(self.root),
            "BANGER_RUN_DIR": str(self.root / "run"),
            "XDG_RUNTIME_DIR": str(self.root / "xdg"),
            **{f"XDG_{n.upper()}_HOME": str(self.root / n) for n in ROOTS},
        }
        self.paths = Paths(
            config=self.root / "config/banger",
            data=self.root / "data/banger",
            state=self.root / "state/banger",
            run=self.root / "run",
        )

    def configure(self, text: str) -> None:
        self.paths.config.mkdir(parents=True, exist_ok=True)
        self.paths.config_file.write_text(text)

    def run(self, *argv: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """``python -m argv...`` to its end."""
        return subprocess.run(
            [sys.executable, "-m", *argv],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def spawn(self, *argv: str) -> "subprocess.Popen[bytes]":
        """``python -m argv...`` in the background; its output goes to a file beside the logs."""
        with (self.root / f"{argv[0]}.out").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", *argv],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def processes(self) -> dict[int, str]:
        """pid → command line of everything that runs with our run directory."""
        return processes_of(self.paths.run)

    def leftovers(self) -> list[str]:
        """Sockets and temporary files: what only a living or a half-ended process has."""
        return [
            str(path)
            for path in self.root.rglob("*")
            if path.is_socket() or path.name.endswith(".tmp")
        ]

    def show_logs(self) -> None:
        for path in sorted([*self.root.glob("*.out"), *self.paths.logs.glob("*")]):
            print(f"--- {path.name}\n{path.read_text(errors='replace')}")

    def clear(self) -> tuple[dict[int, str], list[str]]:
        """End what still runs and remove the directories; returns the processes and the files that
        should have been gone by themselves."""
        processes = self.processes()
        try:
            for pid in processes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if processes:
                eventually(lambda: not self.processes())
            leftovers = [] if processes else self.leftovers()
            self.show_logs()
        finally:
            shutil.rmtree(self.root)
        return processes, leftovers


ROOTS = ("config", "data", "state")


@contextmanager
def new_home() -> Iterator[Home]:
    """Fails when a process, a socket or a temporary file is left at the end."""
    home = Home()
    try:
        yield home
    finally:
        processes, leftovers = home.clear()
    assert not processes, f"processes left behind: {processes}"
    assert not leftovers, f"files left behind: {leftovers}"


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


class Daemon:
    """A launcher and the services it runs."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.paths = home.paths
        self.launcher: subprocess.Popen[bytes] | None = None

    def start(self, procfile: str = CORE) -> "Daemon":
        """Run the launcher; return when the broker lists everything it is to run."""
        path = self.home.root / "procfile"
        path.write_text(procfile)
        self.launcher = self.home.spawn("services.launcher", "--procfile", str(path))
        names = {line.partition(":")[0] for line in procfile.splitlines()} - {"broker"}
        eventually(lambda: {"launcher", *names} <= self.registered().keys())
        return self

    def registered(self) -> dict[str, int]:
        """Service -> pid as the broker has it; empty while there is no broker."""
        try:
            with Peer(self.paths.broker_socket, patience=1.0) as peer:
                answer = peer.call("broker", "broker.services")
        except Silence:
            return {}
        return {service["name"]: service["pid"] for service in answer["services"]}

    def peer(self) -> Peer:
        return Peer(self.paths.broker_socket)

    def call(self, service: str, verb: str, /, **body: Any) -> dict[str, Any]:
        """One call over a connection of its own, as a command of the CLI makes it."""
        with self.peer() as peer:
            return peer.call(service, verb, **body)

    def pid(self, service: str) -> int:
        """The pid of a service as the launcher has it, the broker's too."""
        services = self.call("launcher", "daemon.status")["services"]
        return next(int(each["pid"]) for each in services if each["name"] == service)

    def stop(self) -> None:
        """Ask nicely; what does not listen is shown by ``home`` and fails the test."""
        if self.launcher is None:
            return
        if self.launcher.poll() is None:
            self.launcher.terminate()
        self.launcher.wait(15)
        self.launcher = None
        eventually(lambda: not self.home.processes(), patience=10)


@pytest.fixture
def daemon(home: Home) -> Iterator[Daemon]:
    """Not started yet: a test may want a procfile or a configuration of its own."""
    daemon = Daemon(home)
    yield daemon
    daemon.stop()


@pytest.fixture
def stack(daemon: Daemon) -> Daemon:
    """Broker, store and the echo service, up."""
    return daemon.start()


@pytest.fixture(scope="module")
def shared_stack() -> Iterator[Daemon]:
    """Like ``stack``, started once for all tests of a module that leave it as they find it."""
    with new_home() as home:
        daemon = Daemon(home)
        yield daemon.start()
        daemon.stop()
