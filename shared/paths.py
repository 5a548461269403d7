"""Where files are: XDG directories for what is kept, a private run directory for sockets.

docs/internals.md explains every file. The environment variables of the XDG Base Directory
Specification move the roots, and ``BANGER_RUN_DIR`` moves the run directory.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from shared.errors import BangerError, Code

if TYPE_CHECKING:
    # Otherwise imported where a Path is made: it costs a command 3 ms, and a listing makes none.
    from pathlib import Path

BROKER_SOCKET = "broker.sock"

SUN_PATH_MAX = 107
"""Longest Unix socket path in bytes: sizeof(sockaddr_un.sun_path) - 1 (unix(7))."""

DEEPEST_SOCKET = 32
"""Bytes that the longest path of a socket has below the run directory: ``vms/``, an id, and the
agent's socket in a jail (shared/vm/files.py). It bounds the length of the run directory."""


def _xdg(variable: str, default: str) -> Path:
    from pathlib import Path

    value = os.environ.get(variable, "")
    root = Path(value) if value.startswith("/") else Path.home() / default
    return root / "banger"


# A dataclass takes 1 ms to be made, in every command.
class Paths(NamedTuple):
    """The root directories, and each documented file and directory below them."""

    config: Path
    data: Path
    state: Path
    run: Path

    @classmethod
    def from_environment(cls) -> Paths:
        from pathlib import Path

        return cls(
            config=_xdg("XDG_CONFIG_HOME", ".config"),
            data=_xdg("XDG_DATA_HOME", ".local/share"),
            state=_xdg("XDG_STATE_HOME", ".local/state"),
            run=Path(run_directory()),
        )

    @property
    def config_file(self) -> Path:
        return self.config / "config.toml"

    @property
    def images(self) -> Path:
        return self.data / "images"

    @property
    def kernels(self) -> Path:
        return self.data / "kernels"

    @property
    def database(self) -> Path:
        return self.state / "banger.db"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def ssh_key(self) -> Path:
        return self.state / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys of all VMs, for plain ssh (shared/vm/known_hosts.py)."""
        return self.state / "ssh_known_hosts"

    @property
    def leases(self) -> Path:
        """One locked file per command whose end is to be the end of a VM."""
        return self.state / "leases"

    @property
    def broker_socket(self) -> Path:
        return self.run / BROKER_SOCKET

    @property
    def event_socket(self) -> Path:
        return self.run / "events.sock"

    def log_file(self, service: str) -> Path:
        return self.logs / f"{service}.log"

    def vm_state(self, vm_id: str) -> Path:
        """Disks, keys and logs of a VM. They are kept until the VM is deleted."""
        return self.state / "vms" / vm_id

    def vm_run(self, vm_id: str) -> Path:
        """Sockets, lock and handle of a VM. They are gone after the host's next boot."""
        return self.run / "vms" / vm_id


def run_directory() -> str:
    """``Paths.run`` of the environment, for a command that needs nothing else and makes no Path."""
    explicit = os.environ.get("BANGER_RUN_DIR", "")
    if explicit.startswith("/"):
        return explicit
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return f"{runtime}/banger"
    if os.geteuid() == 0:
        return "/run/banger"
    return f"/tmp/banger-{os.geteuid()}"


def make_private(path: Path) -> None:
    """Make the directory ``path`` with mode 0700, or check the one that is there.

    Only the mode of the run directory keeps other users from the sockets in it, so it is checked
    with lstat: a symbolic link that somebody else made in /tmp is not followed.

    Raises:
        BangerError: ``denied`` when its owner, type or mode is wrong.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        check_private(path)


def close_to_others(path: Path) -> None:
    """Make ``path`` if it is missing and give it mode 0700: disks, keys and logs are below it.

    Raises:
        BangerError: ``denied`` when it belongs to another user.
    """
    path.mkdir(parents=True, exist_ok=True)
    try:
        path.chmod(0o700)
    except PermissionError as error:
        raise BangerError(
            Code.DENIED, f"{path} belongs to another user", hint=f"check its owner: ls -ld {path}"
        ) from error


def check_private(path: str | Path, *, owner: int | None = None) -> None:
    """Raise ``denied`` unless ``path`` is a directory that only its owner can enter: this process's
    user, or the uid ``owner``."""
    info = os.lstat(path)
    owner = os.geteuid() if owner is None else owner
    if not stat.S_ISDIR(info.st_mode):
        raise BangerError(Code.DENIED, f"{path} is not a directory", hint=f"remove it: rm {path}")
    if info.st_uid != owner:
        whose = "you (uid" if owner == os.geteuid() else "the user it is for (uid"
        raise BangerError(
            Code.DENIED,
            f"{path} belongs to uid {info.st_uid}, not to {whose} {owner})",
            hint="set BANGER_RUN_DIR to a directory of your own",
        )
    if stat.S_IMODE(info.st_mode) & 0o077:
        mode = oct(stat.S_IMODE(info.st_mode))[2:]
        raise BangerError(
            Code.DENIED,
            f"{path} has mode {mode}: other users could reach the sockets in it",
            hint=f"chmod 700 {path}",
        )


def check_socket_length(run: Path) -> None:
    """Raise ``invalid`` when sockets under ``run`` would not fit in sun_path (107 bytes)."""
    longest = len(os.fsencode(run)) + len("/") + DEEPEST_SOCKET
    if longest > SUN_PATH_MAX:
        raise BangerError(
            Code.INVALID,
            f"the path of the run directory {run} is too long: sockets in it would have paths of "
            f"{longest} bytes, the kernel allows {SUN_PATH_MAX}",
            hint="set BANGER_RUN_DIR to a shorter path",
        )
