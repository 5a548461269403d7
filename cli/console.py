"""Attached to a VM's serial console: bytes both ways between our streams and QEMU's socket.

QEMU serves one client at a time and lets a second one wait without a word, so who is attached
holds a lock beside the socket. On a terminal every key goes to the guest but Ctrl-].
"""

import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cli.signals import interrupts_readable
from shared.errors import BangerError, Code
from shared.locks import Lock, holder

DETACH = b"\x1d"
"""Ctrl-], as with telnet(1) and virsh."""
CHUNK = 64 * 1024
QUIET_MILLISECONDS = 1000
"""After the end of a piped input: how long the console must be silent for us to leave."""


def attach(name: str, path: Path) -> int:
    """Until Ctrl-], the end of a piped input, a signal (128+N), or the end of the VM (0).

    Raises:
        BangerError: ``busy`` when somebody is attached; ``unavailable`` without a console.
    """
    lock = Lock.try_acquire(path.with_name("console.lock"))
    if lock is None:
        pid = holder(path.with_name("console.lock"))
        raise BangerError(
            Code.BUSY,
            f"somebody is at the console of {name} already (pid {pid})",
            hint=f"only one can be; read along with: banger vm logs -f {name}",
        )
    try:
        with (
            _connected(name, path) as console,
            interrupts_readable() as interrupts,
            _raw(sys.stdin.fileno()) as terminal,
        ):
            return _Relay(console, interrupts, terminal=terminal).run()
    finally:
        lock.release()


def _connected(name: str, path: Path) -> socket.socket:
    console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        console.connect(os.fspath(path))
    except OSError as error:
        console.close()
        raise BangerError(
            Code.UNAVAILABLE,
            f"{name} has no console at {path}: {error.strerror}",
            hint=f"banger vm show {name}",
        ) from None
    console.setblocking(False)
    return console


@contextmanager
def _raw(fd: int) -> Iterator[bool]:
    """Every key as a byte, as long as this lasts; gives whether ``fd`` is a terminal at all."""
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
    """One attachment. Nothing blocks but what waits for all of it."""

    def __init__(self, console: socket.socket, interrupts: int, *, terminal: bool) -> None:
        self._console = console
        self._interrupts = interrupts
        self._terminal = terminal
        self._stdin = sys.stdin.fileno()
        self._to_guest = b""
        self._input_open = True

    def run(self) -> int:
        while True:
            ready = self._wait()
            if not ready and not self._input_open and not self._to_guest:
                return 0
            if self._interrupts in ready:
                return 128 + os.read(self._interrupts, 1)[0]
            if self._console.fileno() in ready and not self._on_console():
                return 0
            if self._stdin in ready and not self._on_input():
                return 0

    def _wait(self) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._interrupts, select.POLLIN)
        writing = select.POLLOUT if self._to_guest else 0
        poll.register(self._console, select.POLLIN | writing)
        if self._input_open and len(self._to_guest) < CHUNK:
            poll.register(self._stdin, select.POLLIN)
        return dict(poll.poll(None if self._input_open else QUIET_MILLISECONDS))

    def _on_console(self) -> bool:
        """Move what can be moved; False when the VM closed its end."""
        self._send()
        try:
            heard = self._console.recv(CHUNK)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        sys.stdout.buffer.write(heard)
        sys.stdout.buffer.flush()
        return bool(heard)

    def _on_input(self) -> bool:
        """Take what was typed; False when that is to leave."""
        typed = os.read(self._stdin, CHUNK)
        if not typed:
            self._input_open = False
            return not self._terminal
        before, escape, _ = typed.partition(DETACH) if self._terminal else (typed, b"", b"")
        self._to_guest += before
        self._send()
        return not escape

    def _send(self) -> None:
        with suppress(BlockingIOError, ConnectionError):  # its end is seen by reading
            self._to_guest = self._to_guest[self._console.send(self._to_guest) :]
