"""A command of the guest as two streams, with a limit on time and on what it may say.

One thread moves bytes both ways: while it waits for the guest to take or to give some, it takes
what the guest's programs complain about.
"""

import fcntl
import os
import select
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from shared.contract.guest_command import (
    NO_USER,
    PROGRAM,
    Announcement,
    GuestCommand,
    environment,
)
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.plain_text import printable
from shared.ssh.master import connected, not_started

IDLE_SECONDS = 120.0
"""How long a guest may neither take nor give a byte."""
SAID_LIMIT = 1 << 16
"""Bytes of a guest's complaints that are kept."""
PIPE_BYTES = 1 << 20
REST_LIMIT = 1 << 20
"""Bytes that may follow what was asked for."""


class GuestEnd:
    """``argv`` in the guest, as root or as ``user``. A context manager: the command ends with it.

    ``cwd`` and ``env``: as of ``GuestCommand``. ``idle_seconds``: how long the guest may neither
    take nor give a byte; ``IDLE_SECONDS`` if None.

    Raises:
        BangerError: ``unavailable`` when sshd does not answer, ``timeout`` for a guest that is
            mute, ``not_found`` for an unknown user, ``lost`` when the connection ended.
    """

    def __init__(
        self,
        access: Access,
        argv: Sequence[str],
        *,
        user: str = "",
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        idle_seconds: float | None = None,
    ) -> None:
        self._idle_seconds = IDLE_SECONDS if idle_seconds is None else idle_seconds
        token = os.urandom(8).hex()
        variables = environment(GuestCommand(argv, user=user, cwd=cwd, env=env or {}), token)
        self._announcement = Announcement(token)
        self._access = access
        self._user = user
        its_input, self._input = os.pipe2(os.O_CLOEXEC)
        self._output, its_output = os.pipe2(os.O_CLOEXEC)
        self._errors, its_errors = os.pipe2(os.O_CLOEXEC)
        self._ours = [self._input, self._output, self._errors]
        for descriptor in self._ours:
            os.set_blocking(descriptor, False)
            with suppress(OSError):  # a user's pipes together may be no larger
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        ends = (its_input, its_output, its_errors)
        try:
            self._session = connected(access, PROGRAM, variables, ends)
        except BaseException:
            self._close()
            raise
        finally:
            for descriptor in ends:
                os.close(descriptor)
        self._heard = bytearray()
        self._listening = True
        self._poll = select.poll()
        self._poll.register(self._errors, select.POLLIN)

    def __enter__(self) -> "GuestEnd":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._session.close()
        self._close()

    def _close(self) -> None:
        while self._ours:
            os.close(self._ours.pop())

    def write(self, data: bytes) -> bool:
        """Give the guest all of ``data``; False when it takes no more."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                self._wait(self._input, select.POLLOUT)
            except BrokenPipeError:
                return False
        return True

    def read(self, most: int) -> bytes:
        """What the guest has said, at most that many bytes; empty when it says no more."""
        while True:
            try:
                return os.read(self._output, most)
            except BlockingIOError:
                self._wait(self._output, select.POLLIN)

    def close_input(self) -> None:
        if self._input in self._ours:
            self._ours.remove(self._input)
            os.close(self._input)

    def line(self, most: int) -> bytes:
        """The first line that the guest says, without its end."""
        found = bytearray()
        while len(found) < most and (byte := self.read(1)) not in (b"", b"\n"):
            found += byte
        return bytes(found)

    def finish(self) -> int:
        """Wait until the guest's command has ended; returns its exit status.

        Raises ``lost`` when the guest did not say it, ``guest_failed`` when it sends without end.
        """
        rest = REST_LIMIT
        while chunk := self.read(1 << 16):
            rest -= len(chunk)  # the end of an archive is padded
            if rest < 0:
                raise BangerError(Code.GUEST_FAILED, "the guest does not stop sending")
        deadline = time.monotonic() + self._idle_seconds
        self._wait_for_errors(deadline)
        while not self._session.ended and self._session.status is None:
            self._wait(self._session.fileno(), select.POLLIN)
            self._session.receive()
        if self._announcement.word == NO_USER:
            raise BangerError(Code.NOT_FOUND, f"the guest has no user {self._user!r}")
        if not self._announcement.word:
            raise not_started(self._access, self._session, self._announcement.before)
        if self._session.status is None:
            raise BangerError(
                Code.LOST,
                "the connection to the guest was lost",
                hint="see what happened to the VM: banger vm list",
            )
        return self._session.status

    def stop_listening(self) -> None:
        """Take what the guest's programs have complained about up to now."""
        with suppress(BangerError):
            self._wait_for_errors(time.monotonic() + 1)

    def complaints(self) -> list[str]:
        """What the guest's programs said about what went wrong, a line each, without control
        characters."""
        text = self._heard.decode(errors="replace")
        lines = map(_without_program, map(printable, text.splitlines()))
        return [line for line in lines if line]

    def _wait(self, descriptor: int, event: int) -> None:
        """Until the descriptor is ready. Raises ``timeout``."""
        deadline = time.monotonic() + self._idle_seconds
        self._poll.register(descriptor, event)
        try:
            while (left := deadline - time.monotonic()) > 0:
                for ready, _ in self._poll.poll(left * 1000):
                    if ready == descriptor:
                        return
                    self._listen()
        finally:
            self._poll.unregister(descriptor)
        raise self._mute()

    def _listen(self) -> None:
        try:
            heard = os.read(self._errors, 1 << 16)
        except BlockingIOError:
            return
        if not heard:
            self._poll.unregister(self._errors)
            self._listening = False
        self._heard += self._announcement.take(heard)[: SAID_LIMIT - len(self._heard)]

    def _mute(self) -> BangerError:
        return BangerError(
            Code.TIMEOUT,
            f"the guest has not answered for {self._idle_seconds:g} s",
            hint="check it: banger vm health",
        )

    def _wait_for_errors(self, deadline: float) -> None:
        while self._listening:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._mute()
            if self._poll.poll(left * 1000):
                self._listen()


def _without_program(line: str) -> str:
    for program in ("tar: ", "sh: ", "mv: ", "ls: "):
        line = line.removeprefix(program)
    noise = ("Exiting with failure status", "socket ignored", "Removing leading")
    return "" if any(words in line for words in noise) else line.strip()
