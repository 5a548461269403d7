"""A nat that root runs beside an ordinary user's services: ``python -m services.nat --user NAME``.

The user is not trusted (docs/decisions/0010-privileged-nat.md). What root may be asked for is set
by root's own configuration; nothing is written or locked in a directory that the user controls; and
what must go by a path of theirs, the connection to their broker, is made by threads that have the
user's identity, so that the kernel refuses what it would refuse to the user.
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

from services.nat.deployment.identity import Station
from shared.bus.socket import start_io_threads
from shared.errors import BangerError, Code
from shared.paths import Paths, check_private, make_private

CONFIG = Path("/etc/banger/config.toml")
KEEP = Path("/run/banger-nat")
LOGS = Path("/var/log/banger")
LOOK_SECONDS = 0.5
"""Between looks for the user's run directory."""

_SETRESUID, _SETGROUPS, _SETRESGID = 117, 116, 119
"""System calls of x86_64, the only architecture banger runs on (asm/unistd_64.h)."""
_UNCHANGED = -1


@dataclass(frozen=True)
class Service:
    """All that such a nat is started with."""

    user: pwd.struct_passwd
    paths: Paths
    """The user's; ``config`` is of no meaning."""
    config_file: Path
    keep: Path
    log_file: Path

    @property
    def station(self) -> Station:
        return Station(
            owner=self.user.pw_uid,
            gid=self.user.pw_gid,
            groups=tuple(os.getgrouplist(self.user.pw_name, self.user.pw_gid)),
            keep=self.keep,
            bridge=True,
            external=True,
        )


def parse(argv: list[str]) -> Service | None:
    """What the command line asks for; None for a nat that the user's own launcher has started.

    Raises:
        BangerError: ``not_found`` for no such user, ``invalid`` for root.
    """
    parser = argparse.ArgumentParser(prog="python -m services.nat", allow_abbrev=False)
    parser.add_argument("--user", help="serve this user's banger; needs root")
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"root's; default {CONFIG}")
    parser.add_argument("--run", type=Path, help="the user's; default /run/user/UID/banger")
    parser.add_argument("--state", type=Path, help="the user's; default ~/.local/state/banger")
    parser.add_argument("--data", type=Path, help="the user's; default ~/.local/share/banger")
    parser.add_argument("--keep", type=Path, default=KEEP, help=f"root's; default {KEEP}")
    parser.add_argument("--logs", type=Path, default=LOGS, help=f"root's; default {LOGS}")
    given = parser.parse_args(argv)
    return _service(given) if given.user else None


def _service(given: argparse.Namespace) -> Service:
    user = _user(given.user)
    home = Path(user.pw_dir)
    paths = Paths(
        config=home / ".config/banger",
        data=given.data or home / ".local/share/banger",
        state=given.state or home / ".local/state/banger",
        run=given.run or Path(f"/run/user/{user.pw_uid}/banger"),
    )
    keep, log = given.keep / str(user.pw_uid), given.logs / f"nat-{user.pw_uid}.log"
    return Service(user, paths, given.config, keep, log)


def _user(name: str) -> pwd.struct_passwd:
    """By name, or by number where it has no name."""
    try:
        user = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        raise BangerError(Code.NOT_FOUND, f"there is no user {name}") from None
    if user.pw_uid == 0:
        raise BangerError(
            Code.INVALID, "root's own services start their nat", hint="name an ordinary user"
        )
    return user


def make_ready(service: Service) -> None:
    """Make root's own directories, wait for the user's, start ZeroMQ as the user.

    Blocks for as long as the user has no run directory: services down, or not logged in.

    Raises:
        BangerError: ``denied`` when we are not root, when root's configuration is in the hands of
            others, or when the run directory is not the user's alone.
    """
    if os.geteuid() != 0:
        raise BangerError(Code.DENIED, "nat --user is for root", hint="run it with sudo")
    check_configuration(service.config_file)
    make_private(service.keep.parent)
    make_private(service.keep)
    wait_for_run_directory(service.paths.run, service.user.pw_uid)
    as_user(service.user, start_io_threads)


def check_configuration(path: Path) -> None:
    """Raise ``denied`` for a file that somebody else than root may write; a missing one is fine."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return
    if info.st_uid != 0 or stat.S_IMODE(info.st_mode) & 0o022:
        raise BangerError(
            Code.DENIED,
            f"{path} may be written by others than root",
            hint=f"chown root {path}; chmod go-w {path}",
        )


def wait_for_run_directory(run: Path, uid: int) -> None:
    """Return when it is there; raises ``denied`` when it is not that user's alone."""
    while True:
        try:
            check_private(run, owner=uid)
            return
        except (FileNotFoundError, NotADirectoryError):
            time.sleep(LOOK_SECONDS)


def as_user(user: pwd.struct_passwd, action: Callable[[], None]) -> None:
    """Do ``action`` in a thread that is the user to the kernel; threads it starts stay that.

    Identity is a thread's (credentials(7)); it is the C library that keeps a process's threads
    alike, so it is asked for by the system call itself. Only the effective ids change: the user
    can neither signal nor trace such a thread, as its real and saved ids are root's. From then on
    the C library's own setuid and its like must not be called: they abort when threads differ.
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
