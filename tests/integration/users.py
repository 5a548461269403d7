"""Ordinary Unix users with banger's services of their own, and root's nat beside them.

They are in a passwd file that only the processes of a test see, and their homes are as open as
many distributions make them (0755), so that what keeps others out is banger's own doing.
"""

import os
import site
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from shared.paths import Paths
from tests.integration.namespaces import Place
from tests.integration.peer import Peer, Silence
from tests.integration.stack import REPOSITORY, eventually

ONE, TWO = 61001, 61002
PACKAGES = os.pathsep.join([str(REPOSITORY), *site.getsitepackages()])
KVM = Path("/dev/kvm")
LEFT = (sys.executable, "/usr/bin/python3")
"""Interpreters to try: the tests' own may be in a directory that is closed to users."""
OUR_HOST = (
    'mount --bind "$1/passwd" /etc/passwd && '
    '{ [ ! -e /dev/kvm ] || mount --bind "$1/kvm" /dev/kvm; } && shift && exec "$@"'
)
"""A mount namespace's own: users with names, and KVM as the members of its group have it."""


@cache
def users_python() -> str | None:
    """An interpreter that an ordinary user can run with our packages, or None."""
    script = "import msgspec, sqlalchemy, zmq"
    for python in LEFT:
        argv = [*identity(ONE), python, "-c", script]
        environment = {**os.environ, "PYTHONPATH": PACKAGES}
        done = subprocess.run(argv, cwd="/", env=environment, capture_output=True, timeout=20)
        if done.returncode == 0:
            return python
    return None


def identity(uid: int) -> tuple[str, ...]:
    return ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--")


@dataclass
class User:
    """One user: home, environment, services."""

    uid: int
    root: Path
    place: Place
    host: Path
    """What is bound over the host's own files for this user's processes, and for nat."""
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def paths(self) -> Paths:
        home = self.root
        return Paths(
            config=home / ".config/banger",
            data=home / ".local/share/banger",
            state=home / ".local/state/banger",
            run=home / "run",
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "BANGER_RUN_DIR": str(self.paths.run),
            "PYTHONPATH": PACKAGES,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def configure(self, text: str) -> None:
        script = 'mkdir -p "$1" && printf %s "$2" > "$1/config.toml"'
        assert self.can("sh", "-c", script, "sh", str(self.paths.config), text)

    def can(self, *argv: str) -> bool:
        """Whether a command of this user succeeds."""
        return self.run(*argv).returncode == 0

    def run(self, *argv: str) -> "subprocess.CompletedProcess[bytes]":
        command = [*self._on_our_host, *identity(self.uid), *argv]
        return self.place.run(
            lambda: subprocess.run(
                command, cwd="/", env=self.environment, capture_output=True, timeout=20
            )
        )

    def python(self, script: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        return self.run(str(users_python()), "-c", script, *arguments)

    def start(self, service: str) -> None:
        """Run one of the services, as this user; return when it is registered."""
        own = [str(users_python()), "-m", f"services.{service}"]
        self._spawn(service, [*identity(self.uid), *own])
        eventually(lambda: service in self.registered())

    def start_supervisor(self, name: str, spec: bytes) -> None:
        """Run one and hand it its VM, as the api does; return when it is registered."""
        argv = [*identity(self.uid), str(users_python()), "-m", "services.vm_supervisor"]
        process = self._spawn(name, argv, stdin=subprocess.PIPE)
        assert process.stdin
        process.stdin.write(spec)
        process.stdin.close()
        eventually(lambda: name in self.registered())

    def start_nat(self, root: Path, *options: str) -> None:
        """Run nat for this user, as root; it may not be registered yet."""
        own = [sys.executable, "-m", "services.nat", "--user", f"user{self.uid}"]
        users = ["--run", str(self.paths.run), "--state-dir", str(root / "keep")]
        logs = ["--logs", str(root / "logs"), "--config", str(root / "config.toml")]
        self._spawn("nat", [*own, *users, *logs, *options])

    def _spawn(
        self, service: str, argv: list[str], stdin: int | None = None
    ) -> "subprocess.Popen[bytes]":
        command = [*self._on_our_host, *argv]
        self.processes[service] = self.place.run(
            lambda: subprocess.Popen(command, cwd=REPOSITORY, env=self.environment, stdin=stdin)
        )
        return self.processes[service]

    @property
    def _on_our_host(self) -> tuple[str, ...]:
        return ("unshare", "--mount", "--", "sh", "-c", OUR_HOST, "sh", str(self.host))

    def kill(self, service: str) -> None:
        process = self.processes.pop(service)
        process.kill()
        process.wait(10)

    def registered(self) -> dict[str, int]:
        """Service → pid, as the user's broker has it; empty while there is no broker."""
        if not self.paths.broker_socket.exists():
            return {}
        try:
            with Peer(self.paths.broker_socket, patience=1.0) as peer:
                services = peer.call("broker", "broker.services")["services"]
        except Silence:
            return {}
        return {"broker": 0} | {str(each["name"]): int(each["pid"]) for each in services}

    def foreign_files(self) -> list[Path]:
        """What is in this user's home and is not theirs."""
        return [path for path in self.root.rglob("*") if path.lstat().st_uid != self.uid]

    def close(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for service, process in self.processes.items():
            assert process.wait(10) in (0, -15), service
        for log in sorted(self.paths.logs.glob("*.log")):
            print(f"--- user {self.uid}: {log.name}\n{log.read_text()}")


@contextmanager
def new_users(place: Place, *uids: int) -> Iterator[list[User]]:
    """Users with a home and a run directory each; fails when a service of theirs does not end."""
    with tempfile.TemporaryDirectory(prefix="bngr", dir="/tmp") as root:
        users = [User(uid, Path(root, str(uid)), place, Path(root)) for uid in uids]
        Path(root).chmod(0o755)
        _open_kvm(Path(root, "kvm"))
        Path(root, "passwd").write_text(
            Path("/etc/passwd").read_text() + "".join(map(_line, users))
        )
        for user in users:
            user.root.mkdir(mode=0o755)
            os.chown(user.root, user.uid, user.uid)
            assert user.can("mkdir", "-m", "700", str(user.paths.run))
        try:
            yield users
        finally:
            for user in users:
                user.close()


def _open_kvm(node: Path) -> None:
    if KVM.exists():
        os.mknod(node, stat.S_IFCHR, KVM.stat().st_rdev)
        node.chmod(0o666)


def _line(user: User) -> str:
    """Of passwd(5)."""
    return f"user{user.uid}:x:{user.uid}:{user.uid}::{user.root}:/bin/sh\n"
