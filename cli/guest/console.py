"""A session on a VM's serial console: bytes between the standard streams and the serial line.

A VMM may serve one client at a time and let a second one wait silently, so the session holds a
lock. On a terminal, every key except Ctrl-] goes to the guest.
"""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from cli.guest.serial_line import CHUNK, SerialLine, open_line
from cli.terminal.signals import interrupts_readable
from shared.errors import BangerError, Code
from shared.host.locks import Lock, holder
from shared.vm import files
from shared.vmm.info import Console

DETACH = b"\x1d"
"""Ctrl-], as with telnet(1) and virsh."""
QUIET_SECONDS = 1.0
"""How long the console must be silent before the session ends after its input did."""


def attach(name: str, form: Console, run: Path, log: Path) -> int:
    """Until Ctrl-], the end of a piped input, a signal (128+N), or the end of the VM (0).

    ``form`` is that of the VMM's console, ``run`` the VM's directory of sockets, ``log`` its
    console.log.

    Raises:
        BangerError: ``busy`` when another process is attached; ``unavailable`` without a console.
    """
    lock = Lock.try_acquire(run / files.CONSOLE_LOCK)
    if lock is None:
        pid = holder(run / files.CONSOLE_LOCK)
        raise BangerError(
            Code.BUSY,
            f"the console of {name} is in use by process {pid}",
            hint=f"follow its output with: banger vm logs -f {name}",
        )
    try:
        with (
            closing(open_line(name, form, run, log)) as line,
            interrupts_readable() as interrupts,
            _raw(sys.stdin.fileno()) as terminal,
        ):
            return _Relay(line, interrupts, terminal=terminal).run()
    finally:
        lock.release()


@contextmanager
def _raw(fd: int) -> Iterator[bool]:
    """Put the terminal into raw mode; gives whether ``fd`` is a terminal."""
    if not os.isatty(fd):
        yield False
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSANOW)
        yield True
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class _Relay:
    """One session. Only ``_wait`` blocks."""

    def __init__(self, line: SerialLine, interrupts: int, *, terminal: bool) -> None:
        self._line = line
        self._interrupts = interrupts
        self._terminal = terminal
        self._stdin = sys.stdin.fileno()
        self._to_guest = b""
        self._input_open = True
        self._heard_at = time.monotonic()

    def run(self) -> int:
        while True:
            ready = self._wait()
            if self._interrupts in ready:
                return 128 + os.read(self._interrupts, 1)[0]
            if not self._listen() or self._is_quiet():
                return 0
            if self._stdin in ready and not self._on_input():
                return 0

    def _wait(self) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._interrupts, select.POLLIN)
        writing = select.POLLOUT if self._to_guest else 0
        poll.register(self._line.fd, self._line.events | writing)
        if self._input_open and len(self._to_guest) < CHUNK:
            poll.register(self._stdin, select.POLLIN)
        longest = None if self._input_open else QUIET_SECONDS * 1000
        return dict(poll.poll(self._line.look_every or longest))

    def _is_quiet(self) -> bool:
        """Whether the piped input is sent and the console has been silent since."""
        silent = time.monotonic() - self._heard_at
        return not self._input_open and not self._to_guest and silent >= QUIET_SECONDS

    def _listen(self) -> bool:
        """Send and receive what is ready; False when the VM has ended."""
        self._send()
        try:
            heard = self._line.receive()
        except ConnectionError:
            return False
        if heard:
            self._heard_at = time.monotonic()
            sys.stdout.buffer.write(heard)
            sys.stdout.buffer.flush()
        return True

    def _on_input(self) -> bool:
        """Take what was typed; False when that ends the session."""
        typed = os.read(self._stdin, CHUNK)
        if not typed:
            self._input_open = False
            self._heard_at = time.monotonic()
            return not self._terminal
        before, escape, _ = typed.partition(DETACH) if self._terminal else (typed, b"", b"")
        self._to_guest += before
        self._send()
        return not escape

    def _send(self) -> None:
        with suppress(BlockingIOError, ConnectionError):  # its end is seen by receiving
            if self._to_guest:
                self._to_guest = self._to_guest[self._line.send(self._to_guest) :]
