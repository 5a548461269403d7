"""The launcher as a process: found by its lock, ended by a signal.

It is not asked over the bus, so that it can be stopped whatever protocol it speaks and however
unwell the broker is.
"""

import os
import select
import signal

from shared.errors import BangerError, Code
from shared.host.locks import holder
from shared.paths import Paths, check_private

STOP_SECONDS = 20.0
"""The launcher gives its services 5 seconds twice, the broker last."""


def launcher_pid(paths: Paths) -> int | None:
    """The pid of the launcher that serves this run directory, or None."""
    try:
        check_private(paths.run)
    except FileNotFoundError:
        return None
    return holder(paths.run / "launcher.lock")


def stop_launcher(paths: Paths) -> bool:
    """End the launcher and with it the services; False when there was none.

    Raises:
        BangerError: ``timeout`` when it is still there after ``STOP_SECONDS``.
    """
    pid = launcher_pid(paths)
    if pid is None:
        return False
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # The lock is looked at again: now the descriptor cannot mean a later process.
        if launcher_pid(paths) == pid:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        _wait(pidfd, pid, paths)
    finally:
        os.close(pidfd)
    return True


def _wait(pidfd: int, pid: int, paths: Paths) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(STOP_SECONDS * 1000):
        raise BangerError(
            Code.TIMEOUT,
            f"the launcher (pid {pid}) did not stop within {STOP_SECONDS:.0f} s",
            hint=f"see {paths.log_file('launcher')}",
        )
