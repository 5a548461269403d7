"""The helper that becomes a jailed Firecracker: orders on stdin, nothing or an error on stdout.

A program of its own, started by file name with ``python -I``: it imports the standard library
only, so that nothing a user could have put on a path is run by root. Its mounts are in a mount
namespace that ends with the process, whatever ends it.

Every file is opened *as the user*: where a link in a user's directory may lead is then the kernel's
to say. What is mounted, given a group or a mode is the file that was opened, by its descriptor.
"""

import ctypes
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

CLONE_NEWNS = 0x00020000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
NO_PROGRAMS = MS_NOSUID | MS_NODEV | MS_NOEXEC
_LOOK = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Refused(Exception):
    """A file is not what it has to be."""


class Opened:
    """A file of the user's by its descriptor, and where the jail sees it."""

    def __init__(self, inside: str, path: str, access: str) -> None:
        self.inside, self.path, self.access = inside, path, access
        self.fd = os.open(path, _LOOK | (os.O_RDWR if access == "write" else os.O_RDONLY))


def main() -> None:
    orders = json.load(sys.stdin)
    try:
        _leave_the_hosts_mounts()
        _become_the_user(orders)
        files, sockets, stdio = _open_all(orders)
        _become_root()
        _check_all(orders, files, sockets, stdio)
        _give(orders["jail"], files, sockets)
        _mount_all(orders, files, sockets)
        for number, fd in enumerate(stdio):
            os.set_blocking(fd, True)  # O_NONBLOCK was for the opening
            os.dup2(fd, number)
    except (OSError, Refused) as error:
        sys.stdout.write(json.dumps({"message": str(error)}))
        sys.exit(1)
    os.umask(0)  # the sockets: their directory is what keeps others out
    os.execv(orders["argv"][0], orders["argv"])


def _become_the_user(orders: dict[str, Any]) -> None:
    """Effective ids only: real and saved ones stay root's, so the user cannot touch us."""
    os.setgroups(orders["groups"])
    os.setegid(orders["gid"])
    os.seteuid(orders["uid"])


def _become_root() -> None:
    os.seteuid(0)
    os.setegid(0)
    os.setgroups([])


def _open_all(orders: dict[str, Any]) -> tuple[list[Opened], Opened, list[int]]:
    files = [_open(file) for file in orders["files"]]
    sockets = Opened(orders["sockets_inside"], orders["sockets"], "directory")
    stdin = os.open(orders["stdin"], _LOOK | os.O_RDWR)  # a FIFO with a writer never ends
    append = _LOOK | os.O_WRONLY | os.O_APPEND
    outputs = [os.open(orders[name], append) for name in ("stdout", "stderr")]
    return [file for file in files if file], sockets, [stdin, *outputs]


def _open(file: dict[str, Any]) -> Opened | None:
    paths = [path for path in file["paths"] if os.path.lexists(path)]
    if not paths and file["optional"]:
        return None
    return Opened(file["inside"], (paths or file["paths"])[0], file["access"])


def _check_all(
    orders: dict[str, Any], files: list[Opened], sockets: Opened, stdio: list[int]
) -> None:
    for file in files:
        _check(file.fd, file.path, stat.S_ISREG, _owners(orders, file))
        if file.access == "shared" and not os.fstat(file.fd).st_mode & stat.S_IROTH:
            raise Refused(f"{file.path} has to be readable by everybody: chmod a+r {file.path}")
    _check(sockets.fd, sockets.path, stat.S_ISDIR, {orders["uid"]})
    kinds = (stat.S_ISFIFO, stat.S_ISREG, stat.S_ISREG)
    for fd, kind, name in zip(stdio, kinds, ("stdin", "stdout", "stderr"), strict=True):
        _check(fd, orders[name], kind, {orders["uid"]})


def _owners(orders: dict[str, Any], file: Opened) -> set[int]:
    """An image may be one that root has put there for all."""
    return {orders["uid"], 0} if file.access == "shared" else {orders["uid"]}


def _check(fd: int, path: str, is_kind: Any, owners: set[int]) -> None:
    info = os.fstat(fd)
    if not is_kind(info.st_mode) or info.st_uid not in owners:
        raise Refused(f"{path} is not a file of the user's and of the right kind")


def _give(jail: int, files: list[Opened], sockets: Opened) -> None:
    """The user stays owner; the directories above keep everybody else out."""
    modes = {"private": 0o640, "write": 0o660, "directory": 0o770}
    for file in (*files, sockets):
        if file.access in modes:
            os.fchown(file.fd, -1, jail)
            os.fchmod(file.fd, modes[file.access])


def _leave_the_hosts_mounts() -> None:
    if _libc().unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "a mount namespace of its own")
    _mount("none", "/", MS_REC | MS_PRIVATE)


def _mount_all(orders: dict[str, Any], files: list[Opened], sockets: Opened) -> None:
    """The chroot itself is in memory: nothing of it is on a disk, nothing has to be removed."""
    root, size = orders["chroot"], orders["chroot_mib"]
    _mount("banger-jail", root, MS_NOSUID, "tmpfs", f"size={size}m,mode=0700")
    for file in files:
        target = Path(root + file.inside)
        target.parent.mkdir(mode=0o755, exist_ok=True)
        target.touch(mode=0o600, exist_ok=False)
        _bind(file.fd, target, 0 if file.access == "write" else MS_RDONLY)
    shared = Path(root + sockets.inside)
    shared.mkdir(mode=0o755)
    _bind(sockets.fd, shared, 0)


def _bind(fd: int, target: Path, flags: int) -> None:
    _mount(f"/proc/self/fd/{fd}", str(target), MS_BIND)
    _mount("none", str(target), MS_BIND | MS_REMOUNT | NO_PROGRAMS | flags)


def _mount(source: str, target: str, flags: int, kind: str = "none", options: str = "") -> None:
    words = (word.encode() for word in (source, target, kind))
    if _libc().mount(*words, ctypes.c_ulong(flags), options.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mounting {source} on {target}: {os.strerror(code)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    main()
