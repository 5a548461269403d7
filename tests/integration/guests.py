"""The real services with scripted guests: everything but QEMU, ssh and the guest is as at a user's.

A stack starts in about a second and a guest boots in a fraction of one. A test that leaves a VM, a
process, a socket or a file of a VM behind fails.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from shared.bus import envelope
from shared.bus.envelope import Kind
from shared.errors import BangerError
from shared.vm import files
from tests import loopback
from tests.integration.peer import Peer, Silence
from tests.scripted import shelf
from tests.scripted.script import VARIABLE
from tests.stack import Stack, new_stack
from tests.waiting import eventually

PROCFILE = "".join(
    f"{name}: {sys.executable} -m services.{name}\n"
    for name in ("broker", "store", "images", "workspaces", "api")
)
PATIENCE = 20.0
View = dict[str, Any]


class Guests:
    """A stack and the VMs in it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.home = home = stack.home
        self.scripts = home.root / "scripts"
        self.scripts.mkdir()

    # -- what guests will do ----------------------------------------------------------------

    def script(self, name: str, *wishes: str) -> None:
        """The next boots of the VM called ``name`` follow these lines (tests/scripted/script)."""
        (self.scripts / name).write_text("\n".join(wishes))

    def hold(self, name: str, *wishes: str) -> Callable[[], None]:
        """The boot of ``name`` stops at its first line; the function returned lets it go on, and
        waits until it has come that far."""
        fifo = self.home.root / f"{name}.fifo"
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        self.script(name, f"hold {fifo}", *wishes)

        def release() -> None:
            fifo.write_text("go\n")
            fifo.unlink()
            self.script(name, *wishes)

        return release

    def type(self, name: str, words: str) -> None:
        """Type a line on the serial console of ``name``."""
        vm_id = self.show(name)["vm"]["id"]
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(self.home.paths.vm_run(vm_id) / files.CONSOLE_SOCKET))
            console.sendall(f"{words}\n".encode())

    # -- verbs ------------------------------------------------------------------------------

    def peer(self) -> Peer:
        return Peer(self.home.paths.broker_socket, patience=PATIENCE)

    def call(self, verb: str, /, **body: Any) -> dict[str, Any]:
        """A verb of the api, over a connection of its own."""
        with self.peer() as peer:
            return peer.final(peer.ask("api", verb, body, seconds=PATIENCE))

    def create(self, name: str, **body: Any) -> View:
        return self.call("vm.create", name=name, **SMALL, **body)

    def show(self, name: str) -> View:
        return self.call("vm.show", ref=name)

    def row(self, name: str) -> dict[str, Any]:
        row: dict[str, Any] = self.show(name)["vm"]
        return row

    def state(self, name: str) -> str:
        """The state of the VM; "gone" without one, "?" while services are away."""
        try:
            return str(self.row(name)["state"])
        except BangerError as error:
            return "gone" if error.code.value == "not_found" else "?"
        except Silence:
            return "?"

    def banger(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        done = self.home.run("cli", *arguments, **environment)
        return done.returncode, done.stdout, done.stderr

    # -- what there is ----------------------------------------------------------------------

    def vmms(self, name: str = "") -> list[int]:
        """Pids of scripted QEMUs, all or those of one VM."""
        mark = f"-name banger-{self.row(name)['id']}" if name else "-name banger-"
        found = self.home.processes().items()
        return sorted(pid for pid, line in found if "scripted.qemu" in line and mark in line)

    def masters(self) -> list[int]:
        found = self.home.processes().items()
        return sorted(pid for pid, line in found if "ssh_master" in line and "-fN" in line)

    def workers(self) -> list[int]:
        """Pids of whatever works for a VM: supervisors, ssh masters, scripted QEMUs."""
        marks = ("services.vm_supervisor", "ssh_master", "scripted.qemu")
        found = self.home.processes().items()
        return sorted(pid for pid, line in found if any(mark in line for mark in marks))

    def supervisor(self, name: str) -> int:
        """The pid of the supervisor of a VM, once there is one that serves."""
        vm_id = self.row(name)["id"]
        with self.peer() as peer:
            services = peer.call("broker", "broker.services")["services"]
        return next((int(each["pid"]) for each in services if each["name"] == f"vm:{vm_id}"), 0)

    def files(self) -> list[str]:
        """Directories of VMs."""
        roots = (self.home.paths.run / "vms", self.home.paths.state / "vms")
        return [str(path) for root in roots if root.exists() for path in root.iterdir()]

    def leftovers(self) -> dict[str, Any]:
        """What only VMs have; empty lists when there is none."""
        with self.peer() as peer:
            rows = peer.call("store", "vm.list")["vms"]
        names = [row["name"] for row in rows]
        return {"rows": names, "files": self.files(), "ssh": self.masters(), "vmms": self.vmms()}

    def delete_all(self) -> None:
        for view in self.call("vm.list")["vms"]:
            self.call("vm.delete", ref=view["vm"]["id"])


SMALL = {"vcpu": 1, "memory_mib": 128, "disk_bytes": 64 << 20, "overlay_bytes": 64 << 20}
SIZES = ("--vcpu", "1", "--memory", "128M", "--disk-size", "64M", "--overlay-size", "64M")
"""``SMALL`` as words of a command."""
NOTHING: dict[str, Any] = {"rows": [], "files": [], "ssh": [], "vmms": []}


@contextmanager
def new_guests(
    config: str = "", site: Path | None = None, procfile: str = PROCFILE, **environment: str
) -> Iterator[Guests]:
    """A stack of the test's own. ``site``: a directory on the Python path of its processes, which
    get the variables of ``environment`` with the root of the stack in place of {root}."""
    own_network = f'user_subnet = "{loopback.subnet()}"\n'
    with new_stack() as stack:
        home = stack.home
        qemu = shelf.install(home.root / "bin")
        home.environment.update(shelf.environment(home.root / "bin"))
        if site:
            home.environment["PYTHONPATH"] = f"{site}:{home.environment['PYTHONPATH']}"
        for name, value in environment.items():
            home.environment[name] = value.format(root=home.root)
        home.environment[VARIABLE] = str(home.root / "scripts")
        home.configure(shelf.configuration(qemu, own_network + config))
        shelf.stock(home.paths)
        guests = Guests(stack)
        stack.launch(procfile)
        yield guests


@contextmanager
def clean(guests: Guests) -> Iterator[Guests]:
    """Inside, a test uses a stack that others use too; fails when it leaves something of a VM."""
    found = guests.leftovers()  # what another test could not get rid of is not this one's
    yield guests
    left = guests.leftovers()
    if left != NOTHING:
        _sweep(guests)
    left = {kind: [each for each in left[kind] if each not in found[kind]] for kind in left}
    assert left == NOTHING, f"left behind: {json.dumps(left)}"


def _sweep(guests: Guests) -> None:
    """Leave no VM to the next test: one that would not be deleted loses its processes first."""
    try:
        guests.delete_all()
        eventually(lambda: guests.leftovers() == NOTHING)
    except (AssertionError, BangerError, Silence):
        doomed = guests.workers()
        for pid in doomed:
            with suppress(ProcessLookupError):
                kill(pid)
        eventually(lambda: not {*doomed} & {*guests.workers()})
        guests.delete_all()


def finals(peer: Peer, asked: list[bytes]) -> dict[bytes, View | BangerError]:
    """The answers to several requests of one connection, whatever their order."""
    answers: dict[bytes, View | BangerError] = {}
    while asked_for := set(asked) - answers.keys():
        header, body = peer.receive()
        if header.kind is Kind.FINAL and header.request_id in asked_for:
            try:
                answers[header.request_id] = envelope.read_final(body)
            except BangerError as error:
                answers[header.request_id] = error
    return answers


def stage_reached(peer: Peer, request: bytes, words: str) -> None:
    """Return when the progress of a request says ``words``; fails when it ends before."""
    while True:
        header, body = peer.receive()
        if header.request_id == request:
            assert header.kind is Kind.PARTIAL, f"it ended before it said {words!r}"
            if words in str(envelope.decode_body(body)):
                return


def opened(fifo: Path) -> int:
    """A descriptor to write with, once somebody reads; 0 as long as nobody does."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
