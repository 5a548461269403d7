"""A session of the guest as two streams, with a limit on time and on what it may say.

One thread moves bytes both ways: while it waits for the guest to take or to give some, it takes
what the guest's programs complain about.
"""

import fcntl
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from shared.contract import ssh_access as ssh
from shared.errors import BangerError, Code

IDLE_SECONDS = 120.0
"""How long a guest may neither take nor give a byte."""
SAID_LIMIT = 1 << 16
"""Bytes of a guest's complaints that are kept."""
PIPE_BYTES = 1 << 20
REST_LIMIT = 1 << 20
"""Bytes that may follow what was asked for."""


class GuestEnd:
    """``argv`` in the guest. A context manager: the session ends with it.

    Raises:
        BangerError: ``missing_tool`` without ssh, ``timeout`` for a guest that is mute.
    """

    def __init__(self, access: ssh.Access, argv: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                ssh.session_argv(access, ssh.remote_command(argv)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is ours alone
            )
        except FileNotFoundError:
            raise BangerError(
                Code.MISSING_TOOL, "ssh is not installed", hint="see: banger doctor"
            ) from None
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._input = self._process.stdin.fileno()
        self._output = self._process.stdout.fileno()
        self._errors = self._process.stderr.fileno()
        self._heard = bytearray()
        self._listening = True
        self._poll = select.poll()
        for descriptor in (self._input, self._output, self._errors):
            os.set_blocking(descriptor, False)
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._poll.register(self._errors, select.POLLIN)

    def __enter__(self) -> "GuestEnd":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        with self._process:
            pass

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
        assert self._process.stdin
        self._process.stdin.close()

    def line(self, most: int) -> bytes:
        """The first line that the guest says, without its end."""
        found = bytearray()
        while len(found) < most and (byte := self.read(1)) not in (b"", b"\n"):
            found += byte
        return bytes(found)

    def finish(self) -> int:
        """Wait until the guest's command has ended; returns its exit status."""
        rest = REST_LIMIT
        while chunk := self.read(1 << 16):
            rest -= len(chunk)  # the end of an archive is padded
            if rest < 0:
                raise BangerError(Code.GUEST_FAILED, "the guest does not stop sending")
        self._wait_for_errors()
        try:
            return self._process.wait(IDLE_SECONDS)
        except subprocess.TimeoutExpired:
            raise _mute() from None

    def stop_listening(self) -> None:
        """Take what the guest's programs have complained about up to now, and end the session."""
        os.killpg(self._process.pid, signal.SIGTERM)
        with suppress(BangerError):
            self._wait_for_errors()

    def complaints(self) -> list[str]:
        """What the guest's programs said about what went wrong, a line each, without control
        characters."""
        text = self._heard.decode(errors="replace")
        lines = map(_without_program, map(printable, text.splitlines()))
        return [line for line in lines if line]

    def _wait(self, descriptor: int, event: int) -> None:
        """Until the descriptor is ready. Raises ``timeout``."""
        deadline = time.monotonic() + IDLE_SECONDS
        self._poll.register(descriptor, event)
        try:
            while (left := deadline - time.monotonic()) > 0:
                for ready, _ in self._poll.poll(left * 1000):
                    if ready == descriptor:
                        return
                    self._listen()
        finally:
            self._poll.unregister(descriptor)
        raise _mute()

    def _listen(self) -> None:
        try:
            heard = os.read(self._errors, 1 << 16)
        except BlockingIOError:
            return
        if not heard:
            self._poll.unregister(self._errors)
            self._listening = False
        self._heard += heard[: SAID_LIMIT - len(self._heard)]

    def _wait_for_errors(self) -> None:
        deadline = time.monotonic() + IDLE_SECONDS
        while self._listening:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _mute()
            if self._poll.poll(left * 1000):
                self._listen()


def printable(text: str) -> str:
    """One line of a guest for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _mute() -> BangerError:
    return BangerError(
        Code.TIMEOUT,
        f"the guest has not answered for {IDLE_SECONDS:g} s",
        hint="check it: banger vm health",
    )


def _without_program(line: str) -> str:
    for program in ("tar: ", "sh: ", "mv: ", "ls: "):
        line = line.removeprefix(program)
    noise = ("Exiting with failure status", "socket ignored", "Removing leading")
    return "" if any(words in line for words in noise) else line.strip()
