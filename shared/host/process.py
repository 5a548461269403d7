"""Processes that outlive this one: in a session of their own, named by pid and start time, watched
by pidfd.

The kernel reuses a pid. With the start time in /proc/<pid>/stat (field 22, clock ticks since boot,
proc(5)) it names one process for one boot of the host.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.kernel_text import process_fields
from shared.host.programs import program_environment

ENDING = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
"""Signals that end a VMM."""


@dataclass(frozen=True)
class ProcessId:
    """One process of this boot of the host."""

    pid: int
    start_time: int


def start_time(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat, or None when there is no such process (or a zombie)."""
    try:
        fields = process_fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def spawn_detached(
    argv: list[str],
    log: Path,
    *,
    stdin: int | None = None,
    stdout: Path | None = None,
    inherited: Iterable[int] = (),
) -> ProcessId:
    """Run ``argv`` in a session of its own.

    stdin is /dev/null, or the descriptor ``stdin``. Output is appended to ``log``; stdout goes to
    the file ``stdout`` when it is given. posix_spawn is used, because a fork of a large supervisor
    costs milliseconds. Of other descriptors the process has only ``inherited``, with their numbers.
    The environment is ``program_environment``.

    Raises:
        BangerError: ``missing_tool`` when the program is not there.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        if stdin is None
        else (os.POSIX_SPAWN_DUP2, stdin, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.fspath(stdout or log), flags, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, os.fspath(log), flags, 0o600),
        # To its own number: clears close-on-exec (posix_spawn_file_actions_adddup2(3)).
        *((os.POSIX_SPAWN_DUP2, fd, fd) for fd in inherited),
    ]
    try:
        pid = os.posix_spawnp(
            argv[0],
            argv,
            program_environment(),
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )
    except FileNotFoundError as error:
        if shutil.which(argv[0]):
            raise  # the program is there: the directory of ``log`` is missing
        message = f"{argv[0]} is not installed"
        raise BangerError(Code.MISSING_TOOL, message, hint="run `banger doctor`") from error
    # A child that has ended keeps its pid until it is reaped, so ``Watch`` finds it.
    return ProcessId(pid, _zombie_start_time(pid))


def _zombie_start_time(pid: int) -> int:
    return int(process_fields(pid)[19])


def send_signal(process: ProcessId, signum: signal.Signals) -> None:
    """Signal this very process; nothing happens when it is gone, or belongs to another user."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        descriptor = os.pidfd_open(process.pid)
        try:
            if _same_process(process):
                signal.pidfd_send_signal(descriptor, signum)
        finally:
            os.close(descriptor)


class Watch:
    """A pidfd of one process: signals reach that process or none.

    ``ended`` works for children and for other processes.
    """

    def __init__(self, process: ProcessId) -> None:
        """Raise ``not_running`` when the process is gone or its pid has been reused."""
        self.process = process
        try:
            self._fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            raise _gone(process) from None
        # Checked after the pidfd is open: from here on it means this process and no other.
        if not _same_process(process):
            os.close(self._fd)
            raise _gone(process)
        self._ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._fd, self._on_exit)

    @property
    def alive(self) -> bool:
        return not self._ended.done()

    def kill(self, signum: signal.Signals) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, signum)

    async def ended(self) -> int | None:
        """Wait for the end: exit status, negative for a signal; None when it was not a child."""
        return await asyncio.shield(self._ended)

    def close(self) -> None:
        """Stop watching. The process goes on."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._ended.cancel()

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        self._ended.set_result(_reap(self.process.pid))


def _reap(pid: int) -> int | None:
    try:
        _, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # not a child: init reaps it
        return None
    return os.waitstatus_to_exitcode(status)


def _same_process(process: ProcessId) -> bool:
    try:
        return _zombie_start_time(process.pid) == process.start_time
    except (FileNotFoundError, ProcessLookupError):
        return False


def _gone(process: ProcessId) -> BangerError:
    return BangerError(Code.NOT_RUNNING, f"process {process.pid} is gone")
