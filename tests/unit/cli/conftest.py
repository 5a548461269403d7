"""The CLI as a process of its own, in directories of its own."""

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from shared.contract.reference import BY_ID
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.home import REPOSITORY, end_processes_of
from tests.scripted.ssh_sessions import Guest
from tests.scripted.ssh_sessions import Server as SessionServer
from tests.unit.cli.forking import Ran, Server
from tests.unit.cli.peer import Answer, Peer

SCRIPTED_SSH = REPOSITORY / "tests/scripted/ssh"

CONTROL = "control"
"""The socket of the guest's shared connection, in the directory where the command runs."""


class Cli:
    """Runs ``banger``; ``ssh`` is a script that runs the guest's command on this machine."""

    def __init__(self, root: Path, server: Server) -> None:
        self.root = root
        self._server = server
        self._processes: list[subprocess.Popen[bytes]] = []
        self.run_dir = root / "run"
        bin_dir = root / "bin"
        bin_dir.mkdir()
        (bin_dir / "ssh").symlink_to(SCRIPTED_SSH)
        self.env = {
            "PATH": f"{bin_dir}:{os.environ['PATH']}",
            "HOME": str(root),
            "PYTHONPATH": str(REPOSITORY),
            "BANGER_RUN_DIR": str(self.run_dir),
            **{f"XDG_{kind}_HOME": str(root / kind.lower()) for kind in ("DATA", "STATE")},
        }

    @property
    def paths(self) -> Paths:
        home, state, data = self.root, self.root / "state", self.root / "data"
        return Paths(home / ".config/banger", data / "banger", state / "banger", self.run_dir)

    def popen(
        self, *args: str, closed: Sequence[int] = (), prelude: str = "", **options: Any
    ) -> "subprocess.Popen[bytes]":
        """A command that is still running when the test goes on; ended with the test.

        ``closed``: descriptors that are closed when it starts, as with ``<&-`` in a shell.
        ``prelude``: Python that its process runs first, such as to shorten a pause.
        """
        closing = " ".join(f"{fd}>&-" for fd in closed)
        shell = ["sh", "-c", f'exec "$@" {closing}', "sh"] if closed else []
        program = ["-c", f"{prelude}\nfrom cli.__main__ import main\nmain()"]
        process = subprocess.Popen(
            [*shell, sys.executable, *(program if prelude else ["-m", "cli"]), *args],
            env=self.env,
            cwd=self.root,
            **options,
        )
        self._processes.append(process)
        return process

    def on_terminal(self, args: Sequence[str], typed: list[tuple[bytes, bytes]]) -> Ran:
        """Run ``banger`` on a terminal of its own; ``typed``: (what is shown, keys typed then)."""
        ours, theirs = pty.openpty()
        process = self.popen(
            *args, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        shown = b""
        with os.fdopen(ours, "r+b", buffering=0) as terminal:
            while chunk := _read_terminal(terminal):
                shown += chunk
                if typed and typed[0][0] in shown:
                    terminal.write(typed.pop(0)[1])
            status = process.wait(50)
        return Ran(status, shown.decode(), "")

    def close(self) -> None:
        for process in self._processes:
            with process:  # closes its pipes, and so ends what reads from them
                process.kill()

    def __call__(self, *args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Ran:
        return self._server.run(list(args), self.env | (env or {}), self.root, stdin)


def _read_terminal(terminal: "io.FileIO") -> bytes:
    """What is shown next; empty when nobody has the terminal open any more (EIO on Linux)."""
    try:
        return terminal.read(4096) or b""
    except OSError:
        return b""


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def cli(server: Server) -> Iterator[Cli]:
    # Not tmp_path: Unix socket paths are short.
    with TemporaryDirectory(prefix="banger-") as root:
        made = Cli(Path(root), server)
        yield made
        made.close()
        left = end_processes_of(made.run_dir)
        assert not left, f"left running: {left}"


@pytest.fixture
def peer(cli: Cli) -> Iterator[Callable[..., Peer]]:
    """Start the scripted peer with a script of verb → answer."""
    peers: list[Peer] = []

    def begin(script: dict[str, Answer], **options: Any) -> Peer:
        peers.append(Peer(cli.paths, script, **options))
        return peers[-1].__enter__()

    yield begin
    for each in peers:
        each.__exit__()


@pytest.fixture
def guest(cli: Cli) -> Iterator[Guest]:
    """A guest that is this machine, with its shared connection."""
    made = Guest(environment=cli.env)
    server = SessionServer(str(cli.root / CONTROL), made)
    yield made
    server.close()
    made.close()


def by_ref(*views: dict[str, Any]) -> Answer:
    """An answer about the VM, one of ``views``, that a request's ``ref`` names."""
    known = {view["vm"][field]: view for view in views for field in ("id", "name")}
    return lambda body: known[body["ref"].removeprefix(BY_ID)]


def resolving(*views: dict[str, Any]) -> Answer:
    """The answer of ``vm.resolve`` where ``views`` are the VMs, each meant by its id or name."""
    known = {view["vm"][field]: view["vm"] for view in views for field in ("id", "name")}

    def resolve(body: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {}
        for ref in body["refs"]:
            if row := known.get(ref):
                found.setdefault(row["id"], {"ref": ref, "id": row["id"], "name": row["name"]})
            else:
                missing = BangerError(Code.NOT_FOUND, f"there is no VM {ref!r}")
                found[ref] = {"ref": ref, "id": "", "name": "", "error": missing.to_wire()}
        return {"resolved": [{"error": None} | each for each in found.values()]}

    return resolve


def view(name: str = "web", vm_id: str = "0123456789ab", **fields: Any) -> dict[str, Any]:
    """A VmView; ``fields`` replace those of its row."""
    row = {
        "id": vm_id,
        "name": name,
        "state": "running",
        "image_id": "1" * 16,
        "image_name": "debian-bookworm",
        "kernel_id": "2" * 16,
        "vcpu": 2,
        "memory_mib": 2048,
        "disk_bytes": 8 * 1024**3,
        "overlay_bytes": 8 * 1024**3,
        "network": "user",
        "address": "127.77.0.2",
        "nat": False,
        "created_at": "2026-11-22T09:30:00.000Z",
        "reason": "",
        "vmm": "auto",
        "allow": [],
        "labels": {},
        "publish": [],
        "workspaces": [],
        "origin": "",
        "template": "",
        "from_pool": False,
        "wakes": False,
        "idle_suspend": None,
    }
    access = {
        "host": "127.77.0.2",
        "port": 22,
        "key": "/k",
        "known_hosts": "/h",
        "alias": vm_id,
        "control": CONTROL,
        "user": "root",
    }
    state = {
        "pid": 7,
        "boot_id": "b",
        "running_vmm": "qemu",
        "accel": "tcg",
        "ports": {},
        "console_log": "",
        "notices": [],
        "command": None,
        "exposed": None,
        "snapshots": None,
        "awake": "",
        "idle_limit": None,
    }
    vm = row | fields
    return {"vm": vm, "access": access if vm["state"] == "running" else None, **state}
