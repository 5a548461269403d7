"""Where files are: XDG directories for what is kept, a private run directory for sockets.

docs/internals.md explains every file. The environment variables of the XDG Base Directory
Specification move the roots, and ``BANGER_RUN_DIR`` moves the run directory.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from shared.errors import BangerError, Code
from shared.host.locks import (
    Membership,
    join,
    last_served,
    same_directory,
    served_elsewhere,
    serving,
)

if TYPE_CHECKING:
    # Otherwise imported where a Path is made: it costs a command 3 ms, and a listing makes none.
    from pathlib import Path

BROKER_SOCKET = "broker.sock"

SUN_PATH_MAX = 107
"""Longest Unix socket path in bytes: sizeof(sockaddr_un.sun_path) - 1 (unix(7))."""

LINGER = "log in again, or keep it when you log out: loginctl enable-linger"
"""What brings /run/user/UID back, which is removed when its user logs out (pam_systemd(8))."""

SSH_TEMPORARY = 17
"""Bytes that ssh adds to the path of its control socket while it makes it: a dot and 16 random
characters (OpenSSH, mux.c)."""


def _xdg(variable: str, default: str) -> str:
    value = os.environ.get(variable, "")
    if not value.startswith("/"):
        value = os.path.expanduser(default)  # noqa: PTH111
    return f"{value}/banger"


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
            config=Path(_xdg("XDG_CONFIG_HOME", "~/.config")),
            data=Path(_xdg("XDG_DATA_HOME", "~/.local/share")),
            state=Path(state_directory()),
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
    def builds(self) -> Path:
        """What builds find again, by the keys of their steps."""
        return self.data / "builds"

    @property
    def blobs(self) -> Path:
        """Downloads from registries, by their digests."""
        return self.data / "blobs"

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
    def trash(self) -> Path:
        """Directories of VMs that are gone, on their way to be removed."""
        return self.state / "trash"

    @property
    def templates(self) -> Path:
        """Saved guests that nobody has used, by their keys."""
        return self.state / "templates"

    @property
    def transfers(self) -> Path:
        """A directory for each transfer of a repository that is under way."""
        return self.state / "transfers"

    @property
    def image_jobs(self) -> Path:
        """A directory for each import, export or the like of an image that is under way."""
        return self.state / "image-jobs"

    @property
    def broker_socket(self) -> Path:
        return self.run / BROKER_SOCKET

    @property
    def event_socket(self) -> Path:
        return self.run / "events.sock"

    def lock(self, owner: str) -> Path:
        """The lock of the one process of its kind that serves the state directory."""
        return self.state / f"{owner}.lock"

    def log_file(self, service: str) -> Path:
        return self.logs / f"{service}.log"

    def vm_state(self, vm_id: str) -> Path:
        """Disks, keys, logs and lock of a VM. They are kept until the VM is deleted."""
        return self.state / "vms" / vm_id

    def vm_run(self, vm_id: str) -> Path:
        """Sockets and handle of a VM. They are gone after the host's next boot."""
        return self.run / "vms" / vm_id


def state_directory() -> str:
    """``Paths.state`` of the environment, for a command that makes no Path."""
    return _xdg("XDG_STATE_HOME", "~/.local/state")


def run_directory() -> str:
    """``Paths.run`` of the environment, for a command that needs nothing else and makes no Path.

    BANGER_RUN_DIR, else the run directory from which the state directory is served, or was while
    it holds VMMs, else the session's. A command of cron or su has no session, and yet finds the
    services of its user.

    Raises:
        BangerError: ``invalid`` when BANGER_RUN_DIR is not UTF-8.
    """
    explicit = os.environ.get("BANGER_RUN_DIR", "")
    if explicit.startswith("/"):
        _check_utf8(explicit)
        return explicit
    last, is_served = last_served(state_directory())
    return last if last and (is_served or _holds_vmms(last)) else _session_directory()


def _holds_vmms(run: str) -> bool:
    """Whether VMMs were left in a run directory that nobody serves from: their sockets are there,
    and another one would lose them."""
    from shared.vm.files import HANDLE

    try:
        vms = os.listdir(f"{run}/vms")  # noqa: PTH208
    except OSError:
        return False
    return any(os.path.exists(f"{run}/vms/{vm}/{HANDLE}") for vm in vms)  # noqa: PTH110


def _session_directory() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return f"{runtime}/banger"
    if os.geteuid() == 0:
        return "/run/banger"
    return f"/tmp/banger-{os.geteuid()}"


def _check_utf8(directory: str) -> None:
    try:
        directory.encode()
    except UnicodeEncodeError:
        raise BangerError(
            Code.INVALID, f"BANGER_RUN_DIR={os.fsencode(directory)!r} is not UTF-8"
        ) from None


def check_served_from(state: str, run: str) -> None:
    """Raise ``conflict`` when the state directory is served from another run directory."""
    served = serving(state)
    if served and not same_directory(served, run):
        raise served_elsewhere(state, served)


def make_private(path: Path) -> None:
    """Make the directory ``path`` with mode 0700, or check the one that is there.

    Only the mode of the run directory keeps other users from the sockets in it, so it is checked
    with lstat: a symbolic link that somebody else made in /tmp is not followed.

    Raises:
        BangerError: ``denied`` when its owner, type or mode is wrong, or when it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
    except FileExistsError:
        check_private(path)
    except PermissionError as error:
        raise BangerError(
            Code.DENIED, f"cannot make {path}: {error.strerror}", hint=_how_to_keep(str(path))
        ) from error


def make_vm_run(paths: Paths, vm_id: str) -> None:
    """Make the run directory of a VM, and the run directory itself if it has vanished. Raises as
    ``make_private``."""
    make_private(paths.run)
    make_private(paths.vm_run(vm_id))


def _how_to_keep(path: str) -> str:
    if path.startswith("/run/user/"):
        return LINGER
    return "set BANGER_RUN_DIR to a directory of your own"


def become_member(paths: Paths) -> Membership:
    """Make the run directory and the state directory, and join the stack that serves them.

    Raises:
        BangerError: ``conflict`` when the state directory is served from another run directory;
            ``invalid`` and ``denied`` when the run directory will not do.
    """
    check_socket_length(paths.run)
    close_to_others(paths.state)
    make_private(paths.run)
    return join(paths.state, paths.run)


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
    try:
        info = os.lstat(path)
    except PermissionError as error:
        hint = "set BANGER_RUN_DIR to a directory of your own"
        raise BangerError(Code.DENIED, f"cannot look at {path}: {error.strerror}", hint=hint) from (
            error
        )
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


def deepest_socket() -> int:
    """Bytes that the longest path of a socket has below the run directory."""
    from shared.vm.files import SSH_SOCKET

    return len(f"vms/0123456789ab/{SSH_SOCKET}") + SSH_TEMPORARY


def check_socket_length(run: Path) -> None:
    """Raise ``invalid`` when sockets under ``run`` would not fit in sun_path (107 bytes)."""
    deepest = deepest_socket()
    most = SUN_PATH_MAX - len("/") - deepest
    longest = len(os.fsencode(run)) + len("/") + deepest
    if longest > SUN_PATH_MAX:
        raise BangerError(
            Code.INVALID,
            f"the path of the run directory {run} is too long: sockets in it would have paths of "
            f"{longest} bytes, the kernel allows {SUN_PATH_MAX}",
            hint=f"set BANGER_RUN_DIR to a path of at most {most} bytes",
        )
