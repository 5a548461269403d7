"""The connection to a guest that sessions share: joined, or opened again where it was lost.

The supervisor opens it at boot. It ends with the guest's sshd, and whoever needs it next opens it.
"""

import select
import signal
import time
from pathlib import Path

from cli.guest.shared_connection import SharedSession
from cli.guest.ssh_process import SshProcess
from shared.contract.ssh_access import Access, master_argv
from shared.errors import BangerError, Code
from shared.host.locks import Lock
from shared.vm import files

OPEN_SECONDS = 10.0
"""For the handshake with a guest's sshd; an emulated guest that boots takes some seconds."""
_RETRY_SECONDS = 0.05


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
                _open(access)
    raise _no_ssh(access)


def _open(access: Access) -> None:
    """Start a master, unless another command does so at the moment."""
    limit = time.monotonic() + OPEN_SECONDS
    control = Path(access.control)
    while (lock := Lock.try_acquire(control.with_name(files.SSH_LOCK))) is None:
        if time.monotonic() > limit:
            raise _no_ssh(access)
        time.sleep(_RETRY_SECONDS)
    try:
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
