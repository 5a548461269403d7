"""Copy into and out of a guest: scp over the connection that all sessions share.

scp reports errors in words only, and its protocol (SFTP version 3) has no code for a full disk. So
what can be checked first is checked first, and the words are turned into codes.
"""

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cli.terminal.signals import interrupts_raise
from shared.contract import ssh_access as ssh
from shared.contract.sizes import MIB
from shared.errors import BangerError, Code

BIG = 64 * MIB
"""From this size on, the free space is checked first, which takes 0.2 s."""

MEANINGS = (
    ("No space left", Code.NO_SPACE),
    ("No such file", Code.NOT_FOUND),
    ("not a regular file", Code.INVALID),
    ("Permission denied", Code.DENIED),
    ("Read-only file system", Code.DENIED),
    ("Connection closed", Code.UNAVAILABLE),
    ("Connection refused", Code.UNAVAILABLE),
)
"""Words of scp and the code that they stand for; the first match counts."""

HINTS = {
    Code.NO_SPACE: "the copy is incomplete; free some space and copy again",
    Code.NOT_FOUND: "a relative path in a VM starts at /root; everything else was copied",
    Code.INVALID: "devices, sockets and pipes are not copied; everything else was copied",
    Code.UNAVAILABLE: "check whether the guest answers: banger vm health",
}


def upload(access: ssh.Access, source: Path, target: str) -> None:
    """Copy a file or a directory with all that is in it; ``target`` as scp(1) has it.

    Raises:
        BangerError: ``not_found``, ``invalid`` for devices, sockets and pipes, ``no_space``,
            ``denied``; what had been copied before stays.
    """
    size = _size(source)
    if size >= BIG:
        _refuse_unless_it_fits(access, size, target)
    _scp(access, [str(source.absolute()), ssh.remote_place(access, target)], target)


def download(access: ssh.Access, source: str, target: Path) -> None:
    """Copy a file or a directory out of the guest. Raises what ``upload`` does."""
    local = str(target.absolute()) + ("/" if target.is_dir() else "")
    _scp(access, [ssh.remote_place(access, source), local], None)


def _size(source: Path) -> int:
    """Bytes to copy. Raises for a file that scp cannot copy, or would read for ever.

    scp itself reports a broken file below a directory, and copies the rest.
    """
    total = 0
    for path in _files(source):
        try:
            info = path.stat()
        except OSError as error:
            if path != source:
                continue  # a dangling link, or a file removed in the meantime
            raise BangerError(Code.NOT_FOUND, f"cannot read {path}: {error.strerror}") from None
        if not stat.S_ISREG(info.st_mode) and (path == source or not stat.S_ISSOCK(info.st_mode)):
            raise BangerError(
                Code.INVALID,
                f"{path} is neither a file nor a directory",
                hint="devices, sockets and pipes are not copied",
            )
        total += info.st_size
    return total


def _files(source: Path) -> Iterator[Path]:
    """All files below a directory, with symbolic links followed as scp does; or the file itself."""
    if not source.is_dir():
        yield source
        return
    for directory, _, names in os.walk(source):
        yield from (Path(directory, name) for name in names)


def _refuse_unless_it_fits(access: ssh.Access, size: int, target: str) -> None:
    free = _free(access, target)
    if free is not None and size > free:
        raise BangerError(
            Code.NO_SPACE,
            f"{size // MIB} MiB to copy, but only {free // MIB} MiB free in the guest",
            hint="stop the VM and enlarge its disk: banger vm set --disk-size",
        )


def _free(access: ssh.Access, target: str) -> int | None:
    """Bytes free in the guest at ``target``; None when the guest does not answer that."""
    place = target or "."
    script = 'p=$1; [ -e "$p" ] || p=$(dirname "$p"); df -Pk "$p" | tail -n 1'
    argv = ssh.session_argv(access, ssh.remote_command(["sh", "-c", script, "sh", place]))
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    fields = done.stdout.decode(errors="replace").split()
    return int(fields[3]) * 1024 if len(fields) >= 6 and fields[3].isdigit() else None


def _scp(access: ssh.Access, paths: list[str], target: str | None) -> None:
    """``target`` is the destination in the guest, None for a copy out of it."""
    argv = ssh.scp_argv(access, *paths)
    try:
        with interrupts_raise():
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
            )
    except FileNotFoundError:
        raise BangerError(
            Code.MISSING_TOOL, "scp is not installed", hint="see: banger doctor"
        ) from None
    if done.returncode != 0:
        raise _failure(access, done.stderr.decode(errors="replace"), target)


def _failure(access: ssh.Access, said: str, target: str | None) -> BangerError:
    lines = [line.removeprefix("scp: ") for line in said.splitlines() if line.strip()]
    text = "; ".join(lines) or "scp failed without an error message"
    for words, code in MEANINGS:
        if words in said:
            return BangerError(code, text, hint=HINTS.get(code, ""), details={"said": lines})
    if target is not None and _is_full(access, target):
        return BangerError(
            Code.NO_SPACE,
            f"the guest's disk is full: {text}",
            hint=HINTS[Code.NO_SPACE],
        )
    return BangerError(Code.GUEST_FAILED, text, details={"said": lines})


def _is_full(access: ssh.Access, target: str) -> bool:
    with suppress(OSError):
        free = _free(access, target)
        return free is not None and free < MIB
    return False
