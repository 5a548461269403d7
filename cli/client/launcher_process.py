"""The launcher as a process: found by its lock, ended by a signal.

It is not asked over the bus, so that it can be stopped whatever protocol it speaks and however
unwell the broker is.
"""

import os
import select
import signal
import time

from shared.errors import BangerError, Code
from shared.host.locks import holder
from shared.host.retry import poll
from shared.paths import Paths, check_private, check_served_from

STOP_SECONDS = 20.0
"""The launcher gives its services 5 seconds twice, the broker last."""
ORPHAN_SECONDS = 2.0
"""A broker ends this soon after its launcher."""


def launcher_pid(paths: Paths) -> int | None:
    """The pid of the launcher that serves this state directory, or None. It is found though its
    run directory has vanished.

    Raises:
        BangerError: ``conflict`` when the state directory is served from another run directory.
    """
    check_served_from(str(paths.state), str(paths.run))
    return holder(paths.lock("launcher")) or _older_launcher(paths)


def _older_launcher(paths: Paths) -> int | None:
    """One of version 0.1.0 has its lock in the run directory."""
    try:
        check_private(paths.run)
    except FileNotFoundError:
        return None
    return holder(paths.run / "launcher.lock")


def stop_launcher(paths: Paths) -> bool:
    """End the launcher and with it the services; False when there was none.

    Raises:
        BangerError: ``timeout`` when it is still there after ``STOP_SECONDS``;
            ``conflict`` when the services run without a launcher.
    """
    pid = launcher_pid(paths)
    if pid is None:
        _refuse_foreground(paths)
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


def _refuse_foreground(paths: Paths) -> None:
    """Raise ``conflict`` while a broker runs that no launcher has started. One whose launcher was
    killed ends by itself at once."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    if not poll(lambda: holder(paths.run / "broker.lock") is None, deadline):
        raise BangerError(
            Code.CONFLICT,
            "the services run in the foreground, without a launcher",
            hint="stop the program that started them, for example honcho",
        )


def _wait(pidfd: int, pid: int, paths: Paths) -> None:
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    if not ended.poll(STOP_SECONDS * 1000):
        raise BangerError(
            Code.TIMEOUT,
            f"the launcher (pid {pid}) did not stop within {STOP_SECONDS:.0f} s",
            hint=f"see {paths.log_file('launcher')}",
        )
