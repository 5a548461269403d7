"""One session over the connection to a guest that the supervisor's ssh holds (its master)::

    session = SharedSession(control, "/run/banger/exec", [b"A=1"], (0, 1, 2))
    ...                       # whenever session.fileno() is readable:
    session.receive()
    session.status            # the command's, once session.ended

It speaks the protocol of OpenSSH's PROTOCOL.mux (version 4) instead of starting an ssh(1) for each
command: no argv that every user of the host can read, no process to start, the end of this process
is the end of the session, and a status that the guest gave is told from a connection that was lost.
"""

import _socket  # the module socket takes 4 ms to import
import os
import struct
from collections.abc import Iterator, Sequence

VERSION = 4
HELLO = 1
NEW_SESSION, ALIVE_CHECK = 0x10000002, 0x10000004
PERMISSION_DENIED, FAILURE, EXIT_MESSAGE = 0x80000002, 0x80000003, 0x80000004
ALIVE, SESSION_OPENED, TTY_ALLOC_FAIL = 0x80000005, 0x80000006, 0x80000008

ESCAPE = ord("~")
"""Begins ssh's own keys on a terminal: ~. ends a session whose guest is mute."""
NO_ESCAPE = 0xFFFFFFFF
CONNECT_SECONDS = 2.0
_LARGEST = 1 << 18
_PIECE = 1 << 14
_HELLO_AND_ALIVE = 28
"""Bytes of the answers to the two, with their lengths."""


class SharedSession:
    """``command`` for the guest's login shell ("" is a login shell) with three descriptors, which
    are this process's to close as soon as the session is made.

    ``opened`` says that the guest has accepted the session; ``ended`` that nothing more comes;
    ``status`` is None unless the guest said how the command ended.
    """

    def __init__(
        self,
        control: str,
        command: str,
        environment: Sequence[bytes],
        streams: tuple[int, int, int],
        *,
        terminal: bool = False,
    ) -> None:
        """Raises OSError when no master answers at ``control``."""
        self.opened = False
        self.ended = False
        self.status: int | None = None
        self.refusal = ""
        """Why the master, or the guest's sshd, made no session."""
        self._received = b""
        self._socket = _socket.socket(_socket.AF_UNIX)
        try:
            self._socket.settimeout(CONNECT_SECONDS)
            self._socket.connect(control)
            self._send_all(struct.pack(">II", HELLO, VERSION))
            self._send_all(_request(command, environment, terminal))
            for descriptor in streams:
                rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", descriptor))
                self._socket.sendmsg([b"\0"], [rights])
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> None:
        """Take what has come."""
        try:
            piece = self._socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self._received += piece
        for message in self._messages():
            self._take(message)
        if not piece or len(self._received) > _LARGEST:
            self.ended = True

    def close(self) -> None:
        """End the session, which ends its command."""
        self._socket.close()

    def _send_all(self, payload: bytes) -> None:
        self._socket.sendall(_string(payload))

    def _messages(self) -> Iterator[bytes]:
        while len(self._received) >= 4:
            end = 4 + int(struct.unpack(">I", self._received[:4])[0])
            if len(self._received) < end:
                return
            message, self._received = self._received[4:end], self._received[end:]
            yield message

    def _take(self, message: bytes) -> None:
        if len(message) < 8:
            return  # the master's hello has no more than its version
        kind, *numbers = struct.unpack(f">{len(message) // 4}I", message[: len(message) & ~3])
        if kind == SESSION_OPENED:
            self.opened = True
        elif kind == EXIT_MESSAGE and len(numbers) > 1:
            self.status = numbers[1] & 0xFF
        elif kind in (PERMISSION_DENIED, FAILURE):
            self.refusal = message[12:].decode(errors="replace")
            self.ended = True


def master_pid(control: str) -> int | None:
    """The process that serves ``control``; None when it does not answer."""
    client = _socket.socket(_socket.AF_UNIX)
    try:
        client.settimeout(CONNECT_SECONDS)
        client.connect(control)
        client.sendall(_string(struct.pack(">II", HELLO, VERSION)))
        client.sendall(_string(struct.pack(">II", ALIVE_CHECK, 0)))
        answer = b""
        while len(answer) < _HELLO_AND_ALIVE and (piece := client.recv(_PIECE)):
            answer += piece
    except OSError:
        return None
    finally:
        client.close()
    return int(struct.unpack(">I", answer[-4:])[0]) if len(answer) == _HELLO_AND_ALIVE else None


def _request(command: str, environment: Sequence[bytes], terminal: bool) -> bytes:
    """The payload of MUX_C_NEW_SESSION: request 0, without X11, an agent or a subsystem."""
    escape = ESCAPE if terminal else NO_ESCAPE
    kind = os.environ.get("TERM", "") if terminal else ""
    words = map(_string, (os.fsencode(kind), os.fsencode(command), *environment))
    numbers = struct.pack(">5I", terminal, False, False, False, escape)
    return b"".join((struct.pack(">II", NEW_SESSION, 0), _string(b""), numbers, *words))


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content
