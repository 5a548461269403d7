"""A command in a guest over ssh or, where ssh is broken, by the guest's agent."""

import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, BinaryIO

from cli.client.lost_session import explained
from cli.guest.session import on_terminal, run_command
from cli.terminal.output import note
from shared.contract.guest_command import NO_USER, Announcement, GuestCommand, text_of
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.ssh_access import Access

LONGEST_INPUT = 1 << 18
"""Bytes of standard input that the agent takes."""
QUIET_SECONDS = 1.0
"""An input that has been silent for so long, and has no end, is cut there."""
LONGEST_SECONDS = 600
ENDED = (128 + signal.SIGTERM, 128 + signal.SIGKILL)
"""The status of a command whose time is up."""


def run_in_guest(
    access: "Access",
    command: GuestCommand,
    *,
    tty: bool | None = None,
    seconds: float | None = None,
    stdin: bool = True,
) -> int:
    """As ``run_command``, which see. A command that ssh certainly did not start is run by the
    agent, unless it wants a terminal; stderr says so."""
    tty = on_terminal() if tty is None else tty
    try:
        with explained():
            return run_command(access, command, tty=tty, seconds=seconds, stdin=stdin)
    except BangerError as error:
        if tty or error.details.get("started") is not False:
            raise
        note(f"{error.message}; running the command by the guest's agent, with limits")
    return _run_by_agent(access.alias, command, _input() if stdin else b"", seconds)


def _run_by_agent(vm_id: str, command: GuestCommand, given: bytes, seconds: float | None) -> int:
    from cli.client.connection import ask
    from shared.contract.reference import by_id
    from shared.contract.verbs import api

    token = os.urandom(8).hex()
    announcement = Announcement(token)
    limit = max(1, min(LONGEST_SECONDS, int(seconds or LONGEST_SECONDS)))
    text = text_of(command, token)
    began = time.monotonic()
    done = ask(api.VM_EXEC(ref=by_id(vm_id), text=text, stdin=given, seconds=limit))
    expired = done.status in ENDED and time.monotonic() - began >= limit
    errors = announcement.take(done.stderr)
    if announcement.word == NO_USER:
        raise BangerError(Code.NOT_FOUND, f"the guest has no user {command.user!r}")
    _write(sys.stdout.buffer, done.stdout)
    _write(sys.stderr.buffer, errors if announcement.word else done.stderr)
    if expired:
        raise BangerError(
            Code.TIMEOUT, f"{command.argv[0]} was still running after {limit} s and was terminated"
        )
    return done.status


def _write(stream: BinaryIO, content: bytes) -> None:
    stream.write(content)
    stream.flush()


def _input() -> bytes:
    """Standard input, as far as it comes to an end. Raises ``invalid`` for more than fits."""
    if os.isatty(0):
        return b""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    given = b""
    limit = time.monotonic() + QUIET_SECONDS
    while poll.poll(max(0.0, limit - time.monotonic()) * 1000):
        piece = os.read(0, 1 << 16)
        if not piece:
            break
        given += piece
        limit = time.monotonic() + QUIET_SECONDS
        if len(given) > LONGEST_INPUT:
            raise BangerError(
                Code.INVALID,
                f"the guest's agent takes at most {LONGEST_INPUT >> 10} KiB of standard input",
                hint="repair the guest's ssh first: banger vm console",
            )
    return given
