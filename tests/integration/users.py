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

from services.nat.deployment.trust import FLAG
from shared.paths import Paths
from tests.home import NO_TEMPLATES, REPOSITORY, Home
from tests.integration.namespaces import Place
from tests.stack import Process, Stack

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
    """One user: home, and services in it."""

    uid: int
    root: Path
    place: Place
    host: Path
    """What is bound over the host's own files for this user's processes, and for nat."""
    stack: Stack = field(init=False)

    def __post_init__(self) -> None:
        self.stack = Stack(Home(self.root, self.environment))

    @property
    def paths(self) -> Paths:
        return self.stack.paths

    @property
    def environment(self) -> dict[str, str]:
        """The directories are the ones that a user has who sets nothing."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "XDG_CONFIG_HOME": str(self.root / ".config"),
            "XDG_DATA_HOME": str(self.root / ".local/share"),
            "XDG_STATE_HOME": str(self.root / ".local/state"),
            "BANGER_RUN_DIR": str(self.root / "run"),
            "PYTHONPATH": PACKAGES,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def configure(self, text: str) -> None:
        script = 'mkdir -p "$1" && printf %s "$2" > "$1/config.toml"'
        assert self.can("sh", "-c", script, "sh", str(self.paths.config), text + NO_TEMPLATES)

    def can(self, *argv: str) -> bool:
        """Whether a command of this user succeeds."""
        return self.run(*argv).returncode == 0

    def run(self, *argv: str, unset: str = "") -> "subprocess.CompletedProcess[bytes]":
        """``unset``: a variable that this user's environment does not have."""
        command = [*self._on_our_host, *identity(self.uid), *argv]
        environment = {name: value for name, value in self.environment.items() if name != unset}
        return self.place.run(
            lambda: subprocess.run(
                command, cwd="/", env=environment, capture_output=True, timeout=20
            )
        )

    def python(self, script: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        return self.run(str(users_python()), "-c", script, *arguments)

    def start(self, service: str) -> None:
        """Run one of the services, as this user; return when it serves."""
        own = [str(users_python()), "-m", f"services.{service}"]
        self.stack.begin(service, lambda: self._spawn([*identity(self.uid), *own]))

    def start_supervisor(self, name: str, spec: bytes) -> None:
        """Run one and hand it its VM, as the api does; return when it serves."""
        argv = [*identity(self.uid), str(users_python()), "-m", "services.vm_supervisor"]

        def begin() -> Process:
            process = self._spawn(argv, stdin=subprocess.PIPE)
            assert process.stdin
            process.stdin.write(spec)
            process.stdin.close()
            return process

        self.stack.begin(name, begin)

    def start_nat(self, root: Path, *options: str) -> None:
        """Run nat for this user, as root; it may not be registered yet."""
        own = [sys.executable, "-m", "services.nat", "--user", f"user{self.uid}", FLAG]
        users = ["--run", str(self.paths.run), "--state-dir", str(root / "keep")]
        logs = ["--logs", str(root / "logs"), "--config", str(root / "config.toml")]
        self.stack.processes["nat"] = self._spawn([*own, *users, *logs, *options])

    def _spawn(self, argv: list[str], stdin: int | None = None) -> Process:
        command = [*self._on_our_host, *argv]
        return self.place.run(
            lambda: subprocess.Popen(command, cwd=REPOSITORY, env=self.environment, stdin=stdin)
        )

    @property
    def _on_our_host(self) -> tuple[str, ...]:
        return ("unshare", "--mount", "--", "sh", "-c", OUR_HOST, "sh", str(self.host))

    def foreign_files(self) -> list[Path]:
        """What is in this user's home and is not theirs."""
        return [path for path in self.root.rglob("*") if path.lstat().st_uid != self.uid]


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
                user.stack.home.show_logs()
                user.stack.stop()


def _open_kvm(node: Path) -> None:
    if KVM.exists():
        os.mknod(node, stat.S_IFCHR, KVM.stat().st_rdev)
        node.chmod(0o666)


def _line(user: User) -> str:
    """Of passwd(5)."""
    return f"user{user.uid}:x:{user.uid}:{user.uid}::{user.root}:/bin/sh\n"
