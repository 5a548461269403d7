"""Sessions in a guest: a login shell or a command, its streams and its exit status.

They go over the connection that the supervisor's ssh holds. A command without a terminal that the
guest's login shell or sshd would not start says so (``guest_command.Announcement``).
"""

import os
import select
import signal
import stat
import sys
import termios
import tty as terminal_modes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from cli.guest.running_command import RunningCommand, SessionEnd
from cli.guest.streams import Streams
from cli.terminal.interrupted import Interrupted
from cli.terminal.signals import interrupts_readable
from shared.contract.guest_command import (
    NO_USER,
    PROGRAM,
    Announcement,
    GuestCommand,
    environment,
)
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.ssh.master import connected, not_started

if TYPE_CHECKING:
    from shared.contract.messages.vm import VmView


def access_of(view: "VmView") -> Access:
    """How to reach the VM. Raises ``not_running`` when there is nothing to reach."""
    vm = view.vm
    if view.access is None:
        raise BangerError(
            Code.NOT_RUNNING,
            f"{vm.name} is {vm.state}" + (f": {vm.reason}" if vm.reason else ""),
            hint=f"start it: banger vm start {vm.name}",
        )
    return view.access


def on_terminal() -> bool:
    """Whether both ends are a terminal, so that the guest's command gets one too."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def run_shell(access: Access, command: GuestCommand, *, tty: bool | None = None) -> int:
    """The shell that ``command`` is, which has no words; returns its exit status. Raises as
    ``run_command``."""
    tty = on_terminal() if tty is None else tty
    if command == GuestCommand(()):
        return _run(access, "", [], "", None, terminal=tty).status
    return run_command(access, command, tty=tty)


def run_command(
    access: Access,
    command: GuestCommand,
    *,
    tty: bool | None = None,
    seconds: float | None = None,
    stdin: bool = True,
) -> int:
    """Run exactly ``command`` and return its exit status, 128+N when signal N ended it.

    After ``seconds`` the command gets SIGTERM, and SIGKILL if that does not end it. Without
    ``stdin`` it reads from /dev/null.

    Raises:
        BangerError: ``timeout`` when it was still running after ``seconds``, ``invalid`` when its
            words are too long, ``not_found`` for an unknown user, ``lost`` when the VM or the
            connection ended under it, ``unavailable`` when ssh starts no command in the guest.
    """
    tty = on_terminal() if tty is None else tty
    token = os.urandom(8).hex()
    announcement = None if tty else Announcement(token)
    variables = environment(replace(command, terminal=tty), token)
    running = _run(
        access, PROGRAM, variables, token, announcement,
        terminal=tty, seconds=seconds, stdin=stdin,
    )  # fmt: skip
    if running.expired:
        what = command.argv[0] if command.argv else "the shell"
        raise BangerError(
            Code.TIMEOUT, f"{what} was still running after {seconds:g} s and was terminated"
        )
    if announcement and announcement.word == NO_USER:
        raise BangerError(Code.NOT_FOUND, f"the guest has no user {command.user!r}")
    return running.status


def _run(
    access: Access,
    command: str,
    variables: list[bytes],
    token: str,
    announcement: Announcement | None,
    *,
    terminal: bool,
    seconds: float | None = None,
    stdin: bool = True,
) -> RunningCommand:
    keys = _Keys(wanted=terminal)
    streams = Streams(stdin=stdin, stderr=announcement.take if announcement else None)
    try:
        with interrupts_readable(*((signal.SIGWINCH,) if terminal else ())) as interrupts:
            ends = streams.of_session
            with _ended_by(interrupts):
                session = connected(access, command, variables, ends, terminal=terminal)
            streams.release()
            running = RunningCommand(
                access.control, session, streams, interrupts, token, announcement, seconds=seconds
            )
            outcome = running.until_ended(on_open=keys.make_raw)
    finally:
        keys.restore()
        streams.close()
    if outcome is SessionEnd.LOST and _is_unread(1):
        # Without a reader, and with its input at an end, ssh ends the session by itself.
        running.status = 128 + signal.SIGPIPE
    elif outcome is SessionEnd.LOST:
        raise BangerError(
            Code.LOST,
            "the connection to the guest was lost while the command ran",
            details={"vm": access.alias},
        )
    if outcome is SessionEnd.NOT_STARTED:
        error = not_started(access, session, announcement.before if announcement else b"")
        if session.opened and stdin and _may_be_read(0):
            del error.details["started"]  # nothing else may run it with what is left
            error.hint = "its input may have been read in part: repair the guest's ssh, or use -n"
        raise error
    return running


@contextmanager
def _ended_by(interrupts: int) -> Iterator[None]:
    """Inside, an error gives way to a signal that came meanwhile: the user has ended the command,
    and nothing else is to run it."""
    try:
        yield
    except BangerError:
        with suppress(BlockingIOError):
            for number in os.read(interrupts, 64):
                if number != signal.SIGWINCH:
                    raise Interrupted(number) from None
        raise


def _may_be_read(fd: int) -> bool:
    """Whether what a session reads from ``fd`` is gone from it."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISREG(mode)


def _is_unread(fd: int) -> bool:
    """Whether ``fd`` is a pipe that nobody reads any more."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


class _Keys:
    """The terminal on standard input, if the session is to have its keys."""

    def __init__(self, *, wanted: bool) -> None:
        self._before = termios.tcgetattr(0) if wanted and os.isatty(0) else None

    def make_raw(self) -> None:
        """From now on, every key goes to the guest. Not before the session is open: until then,
        ssh's master reads the modes that the guest's terminal is to have."""
        if self._before is not None:
            terminal_modes.setraw(0, termios.TCSADRAIN)

    def restore(self) -> None:
        if self._before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._before)
