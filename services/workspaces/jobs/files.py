"""``transfer.files``: the files of ``[[file_sync]]`` into a guest that has just started.

They go as one tar stream over one session, so that no word of them is in an argument, a file of the
host, a log or an answer. What cannot be sent is a notice: a file less does not stop a start.
"""

import io
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress

from services.workspaces.guest.session import GuestSession, script_argv
from shared.config import load_config
from shared.contract.messages.workspace import FilesSent, TransferFiles
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.file_sync import FileSync, guest_path, host_path, inside_home
from shared.paths import Paths
from shared.plain_text import printable
from shared.workers.job import JobContext

LARGEST = 16 << 20
"""Bytes of one file, which is in memory while it is sent."""
EXTRACT = """
cd && umask 077 || exit
if [ -x /run/banger/busybox ]; then exec /run/banger/busybox tar -x -p -f -; fi
exec tar -x -p -f -
"""
"""Directories that are missing are made for root alone; files have the modes of the archive."""


class _Unsendable(Exception):
    """Its text is the reason, a part of a sentence."""


def run(request: TransferFiles, context: JobContext) -> FilesSent:
    """Send them all. Raises ``no_space`` or ``guest_failed`` when the guest cannot take them."""
    entries = load_config(Paths.from_environment().config_file).file_sync
    if not entries:
        return FilesSent(sent=0)
    context.progress("files", f"{len(entries)} of file_sync")
    return _send(request.target.access, entries)


def _send(access: Access, entries: Sequence[FileSync]) -> FilesSent:
    notices: list[str] = []
    sent = 0
    with GuestSession(access, script_argv(EXTRACT, [])) as session:
        with (
            suppress(BrokenPipeError),  # its status says why it takes no more
            tarfile.open(fileobj=session.stdin, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for member, content in _members(entries, notices):
                archive.addfile(member, io.BytesIO(content))
                sent += 1
        if session.finish() != 0:
            raise _refusal(session.complaints())
    return FilesSent(sent=sent, notices=notices)


def _members(
    entries: Sequence[FileSync], notices: list[str]
) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for entry in entries:
        try:
            status, content = _read(entry)
        except _Unsendable as reason:
            notices.append(f"file_sync: {printable(entry.host)} {reason}, so the guest lacks it")
            continue
        member = tarfile.TarInfo(str(guest_path(entry.guest)))
        member.size = len(content)
        member.mode = stat.S_IMODE(status.st_mode) & 0o777
        member.mtime = status.st_mtime
        yield member, content


def _read(entry: FileSync) -> tuple[os.stat_result, bytes]:
    path = host_path(entry.host)
    try:
        real = type(path)(os.path.realpath(path))
        if not inside_home(real):
            raise _Unsendable("leads out of your home directory")
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _Unsendable("is no regular file")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(LARGEST + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise _Unsendable("is not there") from None
    except OSError as error:
        raise _Unsendable(f"cannot be read ({os.strerror(error.errno or 0)})") from None
    if len(content) > LARGEST:
        raise _Unsendable(f"has more than {LARGEST >> 20} MiB")
    return status, content


def _refusal(said: Sequence[str]) -> BangerError:
    if any("No space left" in line for line in said):
        return BangerError(
            Code.NO_SPACE,
            "the guest's disk is full: it could not take the files of file_sync",
            hint="free some space in it, or give it a larger disk: banger vm set --disk-size",
        )
    reason = f": {said[-1]}" if said else ""
    return BangerError(
        Code.GUEST_FAILED,
        f"the guest could not take the files of file_sync{reason}",
        hint="look at the paths of file_sync in the configuration",
    )
