"""banger's services as real processes: all of a procfile under the launcher, or one by one.

One stack for every layer: alone, with scripted guests (tests/integration/guests), in network
namespaces, and as ordinary Unix users (tests/integration/users).
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shared.contract.messages.vm import VmSpec
from tests.home import ENDING_SECONDS, Home, new_home
from tests.integration.peer import Peer, Silence
from tests.waiting import PATIENCE, eventually

Process = subprocess.Popen[bytes]
Call = Callable[..., dict[str, Any]]
Begin = Callable[[], Process]

ENDED = (0, -signal.SIGTERM, -signal.SIGKILL)
"""How what was asked to end, or was killed by a test, may end."""
LAUNCHER = "launcher"
CORE = """\
broker: python -m services.broker
store: python -m services.store
echo: python -m tests.integration.echo_service
"""
"""The smallest set: routing, the database, and a service that does what it is told."""


def want(call: Call, vm_id: str, **changes: Any) -> None:
    """Change the specification of a VM, as the api does: ``call`` asks a service for a verb."""
    row = call("store", "vm.get", ref=vm_id)
    spec = {name: row[name] for name in VmSpec.__struct_fields__}
    call("store", "vm.update", id=vm_id, spec=spec | changes)


def here(begin: Begin) -> Process:
    return begin()


class Stack:
    """The services of one home. Whoever makes one ends it by ``stop``."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.paths = home.paths
        self.processes: dict[str, Process] = {}
        """What was begun here; services under a launcher are the launcher's."""

    # -- begin and end ----------------------------------------------------------------------

    def launch(self, procfile: str = CORE) -> "Stack":
        """Run the launcher; return when the broker lists everything it is to run."""
        path = self.home.root / "procfile"
        path.write_text(procfile)
        self.processes[LAUNCHER] = self.home.spawn("services.launcher", "--procfile", str(path))
        names = {line.partition(":")[0] for line in procfile.splitlines()} - {"broker"}
        eventually(lambda: {LAUNCHER, *names} <= self.registered().keys(), f"{names} register")
        return self

    def start(
        self, service: str, where: Callable[[Begin], Process] = here, *, module: str = ""
    ) -> None:
        """Run one service; ``where`` may do it elsewhere, as in another network namespace.
        ``module``: what is run in its place."""
        argv = module or f"services.{service}"
        self.begin(service, lambda: where(lambda: self.home.spawn(argv)))

    def begin(self, service: str, begin: Begin) -> None:
        """Run one service by ``begin``; return when it serves."""
        self.processes[service] = begin()
        eventually(lambda: self._serves(service), f"{service} serves")

    def kill(self, service: str) -> None:
        process = self.processes.pop(service)
        process.kill()
        process.wait(ENDING_SECONDS)

    def stop(self) -> None:
        """Ask all to end, the last first; fails when one does not, or says that it failed."""
        for process in reversed(self.processes.values()):
            process.terminate()
        for service, process in self.processes.items():
            try:
                status = process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"{service} did not end on SIGTERM") from None
            assert status in ENDED, f"{service} ended with {status}"
        self.processes.clear()

    # -- ask --------------------------------------------------------------------------------

    def peer(self, patience: float = PATIENCE) -> Peer:
        return Peer(self.paths.broker_socket, patience=patience)

    def call(self, service: str, verb: str, /, **body: Any) -> dict[str, Any]:
        """One call over a connection of its own, as a command of the CLI makes it."""
        with self.peer() as peer:
            return peer.final(peer.ask(service, verb, body, seconds=PATIENCE))

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
        return self.call("store", "vm.reserve", **defaults | changes, id=vm_id, names=[name])

    def registered(self) -> dict[str, int]:
        """Service → pid as the broker has it; empty while there is no broker."""
        return self._listed() or {}

    def pid(self, service: str) -> int:
        """The pid of a service as the launcher has it, the broker's too."""
        services = self.call(LAUNCHER, "daemon.status")["services"]
        return next(int(each["pid"]) for each in services if each["name"] == service)

    def _serves(self, service: str) -> bool:
        listed = self._listed()
        return listed is not None and (service == "broker" or service in listed)

    def _listed(self) -> dict[str, int] | None:
        if not self.paths.broker_socket.exists():
            return None
        try:
            with self.peer(patience=1.0) as peer:
                answer = peer.call("broker", "broker.services")
        except Silence:
            return None
        return {str(each["name"]): int(each["pid"]) for each in answer["services"]}


@contextmanager
def new_stack(config: str = "") -> Iterator[Stack]:
    """A stack in a home of its own, with nothing started."""
    with new_home(config) as home:
        home.paths.run.mkdir(mode=0o700)
        stack = Stack(home)
        try:
            yield stack
        finally:
            stack.stop()
