"""The two forms of a VM's serial console (``shared.vmm.info.Console``).

A socket carries both directions. A VMM whose console is its own stdin and stdout writes its output
to console.log and reads its input from a FIFO; when the VM ends, the FIFO loses its reader and
reports POLLERR.
"""

import os
import select
import socket
from pathlib import Path
from typing import Protocol

from shared.errors import BangerError, Code
from shared.vm import files
from shared.vmm.info import Console

CHUNK = 64 * 1024


class SerialLine(Protocol):
    """``fd`` is polled for ``events``; ``look_every``: milliseconds between looks where what the
    guest prints wakes nobody, else None."""

    fd: int
    events: int
    look_every: int | None

    def receive(self) -> bytes:
        """What there is, b"" for nothing. Raises ConnectionError when the VM has ended."""

    def send(self, data: bytes) -> int:
        """How many bytes were taken. Raises BlockingIOError, ConnectionError."""

    def close(self) -> None: ...


def open_line(name: str, form: Console, run: Path, log: Path) -> SerialLine:
    """The console of the VM ``name``; ``run``: its directory of sockets; ``log``: console.log.

    Raises:
        BangerError: ``unavailable`` without a console.
    """
    try:
        if form == "fifo":
            return FileLine(run / files.CONSOLE_INPUT, log)
        return SocketLine(run / files.CONSOLE_SOCKET)
    except OSError as error:
        raise BangerError(
            Code.UNAVAILABLE,
            f"{name} has no console in {run}: {error.strerror}",
            hint=f"see: banger vm show {name}",
        ) from None


class SocketLine:
    """Both directions over one socket."""

    events: int = select.POLLIN
    look_every: int | None = None

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(os.fspath(path))
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()

    def receive(self) -> bytes:
        try:
            heard = self._socket.recv(CHUNK)
        except BlockingIOError:
            return b""
        if not heard:
            raise ConnectionResetError
        return heard

    def send(self, data: bytes) -> int:
        return self._socket.send(data)

    def close(self) -> None:
        self._socket.close()


class FileLine:
    """Into a FIFO, out of a file that grows, from its present end on."""

    events: int = 0  # POLLERR is always reported
    look_every: int | None = 50

    def __init__(self, keys: Path, log: Path) -> None:
        self.fd = os.open(keys, os.O_WRONLY | os.O_NONBLOCK)  # ENXIO: nobody reads, the VM is gone
        try:
            self._log = log.open("rb", buffering=0)
        except OSError:
            os.close(self.fd)
            raise
        self._log.seek(0, os.SEEK_END)

    def receive(self) -> bytes:
        heard = self._log.read(CHUNK)
        if not heard and self._is_over():
            raise ConnectionResetError
        return heard or b""

    def _is_over(self) -> bool:
        poll = select.poll()
        poll.register(self.fd, 0)
        return bool(poll.poll(0))

    def send(self, data: bytes) -> int:
        return os.write(self.fd, data)

    def close(self) -> None:
        os.close(self.fd)
        self._log.close()
