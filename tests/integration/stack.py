"""Real services in processes of their own, on directories of their own, ended with the test."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from shared.bus.client import Client
from shared.contract.verb import Request, Verb
from shared.errors import BangerError, Code
from shared.paths import Paths

T = TypeVar("T")
Launch = Callable[[Callable[[], "subprocess.Popen[bytes]"]], "subprocess.Popen[bytes]"]

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 15.0
"""Seconds a test waits for something that happens in another process."""


def eventually(question: Callable[[], T], *, patience: float = PATIENCE) -> T:
    """The first true answer to ``question``, asked every 20 ms; the test fails without one."""
    limit = time.monotonic() + patience
    while not (answer := question()):
        if time.monotonic() > limit:
            raise AssertionError(f"{question} still answers {answer!r} after {patience} s")
        time.sleep(0.02)
    return answer


class Stack:
    """A context manager. ``start`` runs one service; what it logged is shown when a test fails."""

    def __init__(self, config: str = "") -> None:
        # Not pytest's tmp_path: that is too long for a Unix socket's path.
        self._root = Path(tempfile.mkdtemp(prefix="bngr"))
        self._environment = {
            **os.environ,
            "BANGER_RUN_DIR": str(self._root / "run"),
            "XDG_CONFIG_HOME": str(self._root / "config"),
            "XDG_STATE_HOME": str(self._root / "state"),
            "XDG_DATA_HOME": str(self._root / "data"),
            "XDG_CACHE_HOME": str(self._root / "cache"),
        }
        self.paths = Paths(
            config=self._root / "config/banger",
            data=self._root / "data/banger",
            state=self._root / "state/banger",
            run=self._root / "run",
        )
        self.paths.run.mkdir(mode=0o700)
        self.paths.config.mkdir(parents=True)
        self.paths.config_file.write_text(config)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Stack":
        return self

    def start(
        self, service: str, launch: Launch = lambda start: start(), *, module: str = ""
    ) -> None:
        """Run ``service``; ``launch`` may do it elsewhere, as in another network namespace.
        ``module``: what is run in its place."""
        argv = [sys.executable, "-m", module or f"services.{service}"]
        self._processes[service] = launch(
            lambda: subprocess.Popen(argv, cwd=REPOSITORY, env=self._environment)
        )
        if service != "broker":
            eventually(lambda: self._answers(service))

    def kill(self, service: str) -> None:
        process = self._processes.pop(service)
        process.kill()
        process.wait(10)

    def call(self, service: str, verb: str, **body: Any) -> dict[str, Any]:
        with Client(self.paths.broker_socket) as client:
            return client.ask(Request(Verb(service, verb, dict, dict[str, Any]), body, service))

    def reserve(self, vm_id: str, name: str, **changes: Any) -> dict[str, Any]:
        """Put a VM into the store, as the api does."""
        defaults = {
            "image_id": "i",
            "image_name": "debian",
            "kernel_id": "k",
            "vcpu": 1,
            "memory_mib": 512,
            "disk_bytes": 1,
            "overlay_bytes": 1,
            "nat": False,
            "vmm": "auto",
            "network": "user",
            "subnet": "127.77.0.0/16",
            "request_id": os.urandom(16).hex(),
        }
        body = {**defaults, **changes, "id": vm_id, "name": name}
        return self.call("store", "vm.reserve", **body)

    def _answers(self, service: str) -> bool:
        try:
            with Client(self.paths.broker_socket) as client:
                client.ping(service)
        except BangerError as error:
            if error.code in (Code.UNAVAILABLE, Code.TIMEOUT):
                return False
            raise
        return True

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes.values()):
            process.terminate()
        for service, process in self._processes.items():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"{service} did not end on SIGTERM") from None
        for log in sorted(self.paths.logs.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()}")
        shutil.rmtree(self._root)
