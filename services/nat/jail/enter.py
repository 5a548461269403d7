"""The helper that becomes a jailed Firecracker, or removes what one left.

It reads the jail's specification (plan.py) from stdin and writes an error to stdout, or nothing.

It is a program of its own, started by file name with ``python -I``. It imports the standard library
only, so that root runs nothing that a user could have put on a search path. Its mounts are in a
mount namespace that ends with the process, however the process ends.

Every file is opened *as the user*, so that the kernel decides where a link in a user's directory
may lead. Mounts, groups and modes are applied to the opened files, by descriptor.
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


class UnexpectedFile(Exception):
    """A file is not of the required kind or owner."""


class OpenFile:
    """An open file of the user, and its path inside the jail."""

    def __init__(self, inside: str, path: str, access: str) -> None:
        self.inside, self.path, self.access = inside, path, access
        self.fd = os.open(path, _LOOK | (os.O_RDWR if access == "write" else os.O_RDONLY))


def main() -> None:
    spec = json.load(sys.stdin)
    if "argv" not in spec:
        _clean(spec)
        return
    try:
        _enter_mount_namespace()
        _become_the_user(spec)
        files, sockets, stdio = _open_all(spec)
        _become_root()
        _check_all(spec, files, sockets, stdio)
        empty(sockets.fd)
        _give(spec["jail"], files, sockets)
        _mount_all(spec, files, sockets)
        for number, fd in enumerate(stdio):
            os.set_blocking(fd, True)  # O_NONBLOCK was for the opening
            os.dup2(fd, number)
    except (OSError, UnexpectedFile) as error:
        sys.stdout.write(json.dumps({"message": str(error)}))
        sys.exit(1)
    os.umask(0)  # for the sockets: their directory keeps other users out
    os.execv(spec["argv"][0], spec["argv"])


def _clean(spec: dict[str, Any]) -> None:
    """Empty the directory of sockets after the jail's end."""
    try:
        _become_the_user(spec)
        sockets = OpenFile("", spec["sockets"], "directory")
        _become_root()
        _check(sockets.fd, sockets.path, stat.S_ISDIR, {spec["uid"]})
        empty(sockets.fd)
    except FileNotFoundError:
        return  # the VM was deleted
    except (OSError, UnexpectedFile) as error:
        sys.stdout.write(json.dumps({"message": str(error)}))
        sys.exit(1)


def empty(top: int) -> None:
    """Remove all that is in the directory ``top``, whatever a hostile VMM has planted there.

    No link is followed. What is in a directory is moved up to ``top`` before that is removed, so
    that the depth of a tree is no limit.
    """
    new, number = os.urandom(8).hex(), 0
    while names := os.listdir(top):
        for name in names:
            try:
                os.unlink(name, dir_fd=top)
                continue
            except IsADirectoryError:
                flags = os.O_RDONLY | os.O_DIRECTORY | _LOOK
                child = os.open(name, flags, dir_fd=top)
            try:
                for inner in os.listdir(child):  # noqa: PTH208 - a descriptor has no path
                    number += 1
                    os.rename(inner, f"{new}.{number}", src_dir_fd=child, dst_dir_fd=top)
            finally:
                os.close(child)
            os.rmdir(name, dir_fd=top)


def _become_the_user(spec: dict[str, Any]) -> None:
    """Change the effective ids only. Real and saved ids stay root's, so that the user can neither
    signal nor trace this process."""
    os.setgroups(spec["groups"])
    os.setegid(spec["gid"])
    os.seteuid(spec["uid"])


def _become_root() -> None:
    os.seteuid(0)
    os.setegid(0)
    os.setgroups([])


def _open_all(spec: dict[str, Any]) -> tuple[list[OpenFile], OpenFile, list[int]]:
    files = [_open(file) for file in spec["files"]]
    sockets = OpenFile(spec["sockets_inside"], spec["sockets"], "directory")
    stdin = os.open(spec["stdin"], _LOOK | os.O_RDWR)  # a FIFO with a writer never ends
    append = _LOOK | os.O_WRONLY | os.O_APPEND
    outputs = [os.open(spec[name], append) for name in ("stdout", "stderr")]
    return [file for file in files if file], sockets, [stdin, *outputs]


def _open(file: dict[str, Any]) -> OpenFile | None:
    paths = [path for path in file["paths"] if os.path.lexists(path)]
    if not paths and file["optional"]:
        return None
    return OpenFile(file["inside"], (paths or file["paths"])[0], file["access"])


def _check_all(
    spec: dict[str, Any], files: list[OpenFile], sockets: OpenFile, stdio: list[int]
) -> None:
    for file in files:
        _check(file.fd, file.path, stat.S_ISREG, _owners(spec, file))
        if file.access == "shared" and not os.fstat(file.fd).st_mode & stat.S_IROTH:
            raise UnexpectedFile(
                f"{file.path} must be readable by all users: chmod a+r {file.path}"
            )
    _check(sockets.fd, sockets.path, stat.S_ISDIR, {spec["uid"]})
    kinds = (stat.S_ISFIFO, stat.S_ISREG, stat.S_ISREG)
    for fd, kind, name in zip(stdio, kinds, ("stdin", "stdout", "stderr"), strict=True):
        _check(fd, spec[name], kind, {spec["uid"]})


def _owners(spec: dict[str, Any], file: OpenFile) -> set[int]:
    """The permitted owners. An image may be one that root provides for all users."""
    return {spec["uid"], 0} if file.access == "shared" else {spec["uid"]}


def _check(fd: int, path: str, is_kind: Any, owners: set[int]) -> None:
    info = os.fstat(fd)
    if not is_kind(info.st_mode) or info.st_uid not in owners:
        raise UnexpectedFile(f"{path} does not belong to the user or is not of the right kind")


def _give(jail: int, files: list[OpenFile], sockets: OpenFile) -> None:
    """Give the jail's group access. The user stays owner, and the directories above keep all others
    out."""
    modes = {"private": 0o640, "write": 0o660, "directory": 0o770}
    for file in (*files, sockets):
        if file.access in modes:
            os.fchown(file.fd, -1, jail)
            os.fchmod(file.fd, modes[file.access])


def _enter_mount_namespace() -> None:
    if _libc().unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "a mount namespace of its own")
    _mount("none", "/", MS_REC | MS_PRIVATE)


def _mount_all(spec: dict[str, Any], files: list[OpenFile], sockets: OpenFile) -> None:
    """Mount the chroot, which is in memory: nothing is on disk, and nothing has to be removed."""
    root, size = spec["chroot"], spec["chroot_mib"]
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
