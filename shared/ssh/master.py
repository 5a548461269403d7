"""The connection to a guest that sessions share: joined, or opened again where it was lost.

The supervisor opens it at boot. It ends with the guest's sshd, and whoever needs it next opens it.
"""

import select
import signal
import time
from pathlib import Path

from shared.contract.ssh_access import Access, master_argv
from shared.errors import BangerError, Code
from shared.host.locks import Lock
from shared.plain_text import printable
from shared.ssh.shared_connection import SharedSession, master_pid
from shared.ssh.ssh_process import SshProcess
from shared.vm import files

OPEN_SECONDS = 10.0
"""For the handshake with a guest's sshd; an emulated guest that boots takes some seconds."""
_RETRY_SECONDS = 0.05
SAID_MOST = 200
"""Characters of what a login shell says instead of running a command."""


def connected(
    access: Access,
    command: str,
    variables: list[bytes],
    streams: tuple[int, int, int],
    *,
    terminal: bool = False,
) -> SharedSession:
    """A session for ``command`` with three descriptors, which stay the caller's.

    Raises:
        BangerError: ``unavailable`` when the guest's sshd does not answer.
    """
    for attempt in range(2):
        try:
            return SharedSession(access.control, command, variables, streams, terminal=terminal)
        except OSError:
            if attempt == 0:
                open_again(access)
    raise _no_ssh(access)


def not_started(access: Access, session: SharedSession, said: bytes) -> BangerError:
    """The error of a session that ended before its command began. ``said``: what came on stderr
    instead of the announcement, by the login shell."""
    words = session.refusal or said.decode(errors="replace")
    reason = printable(" ".join(words.split()), SAID_MOST)
    return BangerError(
        Code.UNAVAILABLE,
        "ssh starts no command in the guest" + (f": {reason}" if reason else ""),
        hint=f"see its console: banger vm console {access.alias}",
        details={"vm": access.alias, "started": False},
    )


def open_again(access: Access) -> None:
    """Start a master, unless another command does so at the moment."""
    limit = time.monotonic() + OPEN_SECONDS
    control = Path(access.control)
    while (lock := Lock.try_acquire(control.with_name(files.SSH_LOCK))) is None:
        if time.monotonic() > limit:
            raise _no_ssh(access)
        time.sleep(_RETRY_SECONDS)
    try:
        if master_pid(access.control) is not None:
            return  # another command has opened it meanwhile
        control.unlink(missing_ok=True)
        process = SshProcess(master_argv(access, "/dev/null"), own_session=True, quiet=True)
        poll = select.poll()
        poll.register(process.pidfd, select.POLLIN)
        if not poll.poll(max(0.0, limit - time.monotonic()) * 1000):
            process.send(signal.SIGKILL)
        if process.wait() != 0:
            raise _no_ssh(access)
    except FileNotFoundError:
        raise _no_ssh(access) from None  # the VM has gone, and its directory
    finally:
        lock.release()


def _no_ssh(access: Access) -> BangerError:
    return BangerError(
        Code.UNAVAILABLE,
        f"the guest's sshd does not answer on {access.host} port {access.port}",
        hint=f"see its console: banger vm console {access.alias}",
        details={"vm": access.alias, "started": False},
    )
