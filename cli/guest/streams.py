"""The descriptors that a session gets in place of this process's standard streams.

ssh makes what it is given non-blocking. That is a property of the open file, which this process
shares with others: with ``(banger vm exec … & seq 1 99999) | …``, seq would lose output. So pipes
are opened anew, and sockets are led through a pipe. Terminals and regular files can be shared: ssh
leaves the first blocking, and to the second it makes no difference.
"""

import os
import select
import stat
from collections.abc import Callable
from contextlib import suppress

_PIECE = 4096
"""What a pipe that is ready takes without blocking (PIPE_BUF, pipe(7))."""

Filter = Callable[[bytes], bytes]


class Pump:
    """Carries bytes from ``source`` to ``sink`` without ever blocking."""

    def __init__(self, source: int, sink: int, take: Filter | None = None) -> None:
        self.done = False
        self.ends = source, sink
        self._take = take
        self._held = b""

    def waits_for(self) -> tuple[int, int]:
        """The descriptor, and what poll(2) is to say of it."""
        return (self.ends[1], select.POLLOUT) if self._held else (self.ends[0], select.POLLIN)

    def step(self) -> None:
        """Carry what there is. ``done`` when one end is closed."""
        try:
            if self._held:
                self._held = self._held[os.write(self.ends[1], self._held[:_PIECE]) :]
                return
            piece = os.read(self.ends[0], _PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.done = True
        self._held = self._take(piece) if self._take else piece


class Streams:
    """What a session is given as stdin, stdout and stderr.

    ``of_session`` are closed by ``release``, once the session has them; ``pumps`` are to be worked
    until they are done; ``close`` closes the rest.
    """

    def __init__(self, *, stdin: bool = True, stderr: Filter | None = None) -> None:
        """``stdin``: this process's, otherwise /dev/null. ``stderr``: what is to see the guest's
        stderr before it is printed; None for the session to write it by itself."""
        self.pumps: list[Pump] = []
        self._owned: list[int] = []
        self._kept: list[int] = []
        ends = (self._input(0) if stdin else self._own(os.open(os.devnull, os.O_RDONLY)),
                self._output(1),
                self._output(2, stderr))  # fmt: skip
        self.of_session: tuple[int, int, int] = ends

    def release(self) -> None:
        while self._owned:
            os.close(self._owned.pop())

    def close(self) -> None:
        self.release()
        while self._kept:
            os.close(self._kept.pop())

    def work(self, pump: Pump) -> None:
        """Carry what there is. The session sees the end of a pump that is done."""
        pump.step()
        if pump.done:
            self.pumps.remove(pump)
            for fd in pump.ends:
                if fd in self._kept:
                    self._kept.remove(fd)
                    os.close(fd)

    def outgoing(self) -> list[Pump]:
        """The pumps of output."""
        return [pump for pump in self.pumps if pump.ends[0] in self._kept]

    def _own(self, fd: int) -> int:
        self._owned.append(fd)
        return fd

    def _input(self, fd: int) -> int:
        if not _is_shared(fd):
            return fd
        again = _opened_again(fd, os.O_RDONLY)
        if again is not None:
            return self._own(again)
        read, write = os.pipe()
        self._kept.append(write)
        self.pumps.append(Pump(fd, write))
        return self._own(read)

    def _output(self, fd: int, take: Filter | None = None) -> int:
        if take is None:
            if not _is_shared(fd):
                return fd
            again = _opened_again(fd, os.O_WRONLY)
            if again is not None:
                return self._own(again)
        read, write = os.pipe()
        self._kept.append(read)
        self.pumps.append(Pump(read, fd, take))
        return self._own(write)


def _is_shared(fd: int) -> bool:
    """Whether O_NONBLOCK would change what others see: of pipes and sockets."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _opened_again(fd: int, mode: int) -> int | None:
    """Another open file of a pipe. Not of a named one, which might wait for its other end."""
    with suppress(OSError):
        if stat.S_ISFIFO(os.fstat(fd).st_mode) and not _is_named(fd):
            return os.open(f"/proc/self/fd/{fd}", mode | os.O_CLOEXEC)
    return None


def _is_named(fd: int) -> bool:
    """Whether a pipe is a file, which is on another filesystem than those without a name."""
    read, write = os.pipe()
    try:
        return os.fstat(fd).st_dev != os.fstat(read).st_dev
    finally:
        os.close(read)
        os.close(write)
