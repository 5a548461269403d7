"""A nat that root runs beside an ordinary user's services.

Root starts it by ``python -I -m banger services.nat --user NAME``, which imports nothing of the
current directory, and it refuses to run code that others can change (trust.py).

The user is not trusted (docs/decisions/0010-privileged-nat.md). Root's own configuration decides
what nat does. nat writes and locks no file in a directory that the user controls. Only the
connection to the user's broker needs a path of the user; threads with the user's identity make it,
so that the kernel refuses what it would refuse to the user.
"""

import argparse
import ctypes
import os
import pwd
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.nat.deployment import trust
from services.nat.deployment.identity import Identity
from shared.bus.socket import start_io_threads
from shared.errors import BangerError, Code
from shared.paths import Paths, check_private, make_private

CONFIG = Path("/etc/banger/config.toml")
STATE = Path("/run/banger-nat")
LOGS = Path("/var/log/banger")
LOOK_SECONDS = 0.5
"""Between two checks for the user's run directory."""

_SETRESUID, _SETGROUPS, _SETRESGID = 117, 116, 119
"""System calls of x86_64, the only architecture banger runs on (asm/unistd_64.h)."""
_UNCHANGED = -1


@dataclass(frozen=True)
class ExternalNat:
    """The settings of a nat that root runs for a user."""

    user: pwd.struct_passwd
    paths: Paths
    """The user's directories; ``config`` is not used."""
    config_file: Path
    state_dir: Path
    log_file: Path
    trusts_user_code: bool = False
    """Whether to run though other users than root can change this program."""

    @property
    def identity(self) -> Identity:
        return Identity(
            owner=self.user.pw_uid,
            gid=self.user.pw_gid,
            groups=tuple(os.getgrouplist(self.user.pw_name, self.user.pw_gid)),
            state_dir=self.state_dir,
            bridge=True,
            external=True,
        )


def parse(argv: list[str]) -> ExternalNat | None:
    """The settings from the command line; None for a nat that the user's own launcher started.

    Raises:
        BangerError: ``not_found`` for an unknown user, ``invalid`` for root.
    """
    parser = argparse.ArgumentParser(prog="python -I -m banger services.nat", allow_abbrev=False)
    parser.add_argument("--user", help="serve this user's services; needs root")
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"of root; default {CONFIG}")
    parser.add_argument("--run", type=Path, help="of the user; default /run/user/UID/banger")
    parser.add_argument("--state", type=Path, help="of the user; default ~/.local/state/banger")
    parser.add_argument("--data", type=Path, help="of the user; default ~/.local/share/banger")
    parser.add_argument("--state-dir", type=Path, default=STATE, help=f"of root; default {STATE}")
    parser.add_argument("--logs", type=Path, default=LOGS, help=f"of root; default {LOGS}")
    trusted = "run though other users can change this program: they become root by it"
    parser.add_argument(trust.FLAG, dest="trusts", action="store_true", help=trusted)
    given = parser.parse_args(argv)
    return _external_nat(given) if given.user else None


def _external_nat(given: argparse.Namespace) -> ExternalNat:
    user = _user(given.user)
    home = Path(user.pw_dir)
    paths = Paths(
        config=home / ".config/banger",
        data=given.data or home / ".local/share/banger",
        state=given.state or home / ".local/state/banger",
        run=given.run or Path(f"/run/user/{user.pw_uid}/banger"),
    )
    state_dir = given.state_dir / str(user.pw_uid)
    log_file = given.logs / f"nat-{user.pw_uid}.log"
    return ExternalNat(user, paths, given.config, state_dir, log_file, given.trusts)


def _user(name: str) -> pwd.struct_passwd:
    """The user with this name or uid."""
    try:
        user = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        raise BangerError(Code.NOT_FOUND, f"there is no user {name}") from None
    if user.pw_uid == 0:
        raise BangerError(
            Code.INVALID, "root's services start a nat of their own", hint="name an ordinary user"
        )
    return user


def prepare(nat: ExternalNat) -> None:
    """Create root's directories, wait for the user's, and start ZeroMQ's threads as the user.

    Blocks until the user has a run directory, which needs running services or a login.

    Raises:
        BangerError: ``denied`` when nat is not root, when another user may write this program or
            root's configuration, or when another user has access to the run directory.
    """
    if os.geteuid() != 0:
        raise BangerError(Code.DENIED, "only root can run nat --user", hint="run it with sudo")
    if not nat.trusts_user_code:
        trust.check_code(trust.running_code())
    check_configuration(nat.config_file)
    make_private(nat.state_dir.parent)
    make_private(nat.state_dir)
    wait_for_run_directory(nat.paths.run, nat.user.pw_uid)
    as_user(nat.user, start_io_threads)


def check_configuration(path: Path) -> None:
    """Raise ``denied`` for a file that another user than root may write. It may be missing."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return
    if info.st_uid != 0 or stat.S_IMODE(info.st_mode) & 0o022:
        raise BangerError(
            Code.DENIED,
            f"{path} can be written by other users than root",
            hint=f"chown root {path}; chmod go-w {path}",
        )


def wait_for_run_directory(run: Path, uid: int) -> None:
    """Return when the directory exists; raises ``denied`` when another user has access to it."""
    while True:
        try:
            check_private(run, owner=uid)
            return
        except (FileNotFoundError, NotADirectoryError):
            time.sleep(LOOK_SECONDS)


def as_user(user: pwd.struct_passwd, action: Callable[[], None]) -> None:
    """Run ``action`` in a thread with the user's identity, which threads started there inherit.

    Linux has one identity per thread (credentials(7)); the C library keeps those of a process
    equal, so the system calls are used directly. Only the effective ids change: the user can
    neither signal nor trace such a thread, because its real and saved ids are root's. From then on
    the C library's setuid and similar functions must not be called: they abort when threads differ.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            _become(user)
            action()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _become(user: pwd.struct_passwd) -> None:
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    _call(_SETGROUPS, len(groups), (ctypes.c_uint32 * len(groups))(*groups))
    _call(_SETRESGID, _UNCHANGED, user.pw_gid, _UNCHANGED)
    _call(_SETRESUID, _UNCHANGED, user.pw_uid, _UNCHANGED)


def _call(number: int, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
