"""A client's connection to the broker: ZeroMQ's protocol over a plain Unix socket, without pyzmq.

It has the interface of ``shared.bus.socket.Dealer``, for callers that wait for one thing at a time.
"""

import _socket  # the module socket takes 4 ms to import, for wrappers that are of no use here
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.bus import zmtp
from shared.bus.envelope import Envelope, check_size, encode
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from pathlib import Path

RECONNECT_SECONDS = 0.02
"""Pause between two attempts. It does not grow, because a client gives up after a few seconds."""
LINGER_SECONDS = 0.5
"""How long ``close`` waits for the broker to take what was sent."""
CHUNK = 256 * 1024
"""Bytes read at once: the kernel holds about as many for a Unix socket."""


class UnixDealer:
    """One connection, owned by one thread. ``wait`` makes it anew when it was lost."""

    def __init__(self, path: "str | Path") -> None:
        self._path = str(path)
        self._state: _Handshake | _Stream | None = None
        self._messages: list[list[bytes]] = []
        self._changes: list[bool] = []
        self._connect()

    def send(self, envelope: Envelope, body: bytes) -> None:
        """Hand one message to the kernel. ``wait`` sends the part that the kernel has no room for.

        Raises:
            BangerError: ``too_large``; ``unavailable`` when no broker is connected.
        """
        header = encode(envelope)
        check_size(header, body)
        if isinstance(self._state, _Stream):
            self._state.queue(zmtp.message(header, body))
            self._flush(self._state, 0.0)
        if not isinstance(self._state, _Stream):
            raise BangerError(
                Code.UNAVAILABLE,
                "the broker is not running",
                hint="check the services: banger daemon status",
            )

    def receive(self) -> list[bytes] | None:
        """The next message's frames, or None when there is none right now."""
        return self._messages.pop(0) if self._messages else None

    def link_changes(self) -> Iterator[bool]:
        """Changes of the connection since the last call: True for up, False for down."""
        changes, self._changes = self._changes, []
        return iter(changes)

    def wait(self, seconds: float) -> tuple[bool, bool]:
        """Block until (a message, a link change) is there, or ``seconds`` have passed.

        Raises:
            BangerError: ``bad_message`` when the peer is no broker; ``denied`` when it refuses.
        """
        limit = time.monotonic() + seconds
        while True:
            left = max(0.0, limit - time.monotonic())
            if not self._messages and not self._changes:
                self._advance(left)
            if self._messages or self._changes or not left:
                return bool(self._messages), bool(self._changes)

    def close(self) -> None:
        """Disconnect; the broker gets ``LINGER_SECONDS`` to read what was sent."""
        limit = time.monotonic() + LINGER_SECONDS
        while isinstance(self._state, _Stream) and self._state.has_unsent:
            left = limit - time.monotonic()
            if left <= 0:
                break
            self._flush(self._state, left)
        self._disconnect()

    def _advance(self, seconds: float) -> None:
        """Take the next step; it blocks for at most ``seconds``."""
        if self._state is None:
            self._connect()
            if self._state is None:
                time.sleep(min(seconds, RECONNECT_SECONDS))
        elif isinstance(self._state, _Handshake):
            self._shake_hands(self._state, seconds)
        elif self._state.has_unsent:
            self._flush(self._state, seconds)
        else:
            self._read(self._state, seconds)

    def _connect(self) -> None:
        socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        socket.settimeout(0.0)
        try:
            socket.connect(self._path)
            socket.send(zmtp.greeting() + zmtp.ready(b"DEALER"))
        except OSError:  # nobody listens, or too many others wait to be accepted
            socket.close()
        else:
            self._state = _Handshake(socket)

    def _shake_hands(self, handshake: "_Handshake", seconds: float) -> None:
        handshake.socket.settimeout(seconds)
        try:
            rest = handshake.advance()
            if rest is not None:
                self._state = _Stream(handshake.socket, rest)
                self._changes.append(True)
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            self._disconnect()
            time.sleep(min(seconds, RECONNECT_SECONDS))
        except BaseException:
            self._disconnect()  # nothing has been asked yet: another handshake is as good
            raise

    def _flush(self, stream: "_Stream", seconds: float) -> None:
        stream.socket.settimeout(seconds)
        try:
            stream.flush()
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            self._lose()

    def _read(self, stream: "_Stream", seconds: float) -> None:
        stream.socket.settimeout(seconds)
        try:
            stream.take(self._messages)  # an interrupted step may have read them
            if not self._messages:
                stream.read()
                stream.take(self._messages)
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            self._lose()
        except BangerError:
            self._lose()
            raise

    def _lose(self) -> None:
        self._changes.append(False)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._state is not None:
            self._state.socket.close()
        self._state = None


class _Handshake:
    """A connection without messages yet: the peer's greeting and READY are still to come."""

    def __init__(self, socket: _socket.socket) -> None:
        self.socket = socket
        self._received = b""

    def advance(self) -> bytes | None:
        """Read, and return the bytes after the end of the handshake, or None before its end.

        Raises:
            OSError: nothing came in time, or the connection is lost.
            BangerError: the peer is no broker, or refuses.
        """
        self._received += _some_bytes(self.socket.recv(CHUNK))
        zmtp.check_greeting(self._received)
        traffic = zmtp.next_traffic(self._received, zmtp.GREETING_SIZE)
        if traffic is None:
            return None
        _frames, commands, end = traffic
        zmtp.check_ready(b"".join(commands))
        return self._received[end:]


class _Stream:
    """A connection that carries messages.

    A signal handler may raise between any two steps of Python, and the caller may use the
    connection after that: Ctrl-C cancels an operation over it. Therefore ``extend(map(recv, ...))``
    calls the kernel and stores the result in one step of C, and everything derived from that is
    stored in one step too, so that the position in the stream is never lost.
    """

    def __init__(self, socket: _socket.socket, received: bytes) -> None:
        self.socket = socket
        self._received = [received]
        self._outbound = _Outbound(b"")

    @property
    def has_unsent(self) -> bool:
        return bool(self._outbound.rest)

    def queue(self, data: bytes) -> None:
        self._outbound = _Outbound(self._outbound.rest + data)

    def flush(self) -> None:
        """Send as much as the kernel takes. Raises OSError: none in time, or the link is lost."""
        self._outbound.sent.extend(map(self.socket.send, (self._outbound.rest,)))

    def read(self) -> None:
        """Read what has arrived. Raises OSError: nothing came in time, or the link is lost."""
        self._received.extend(map(self.socket.recv, (CHUNK,)))
        _some_bytes(self._received[-1])

    def take(self, messages: list[list[bytes]]) -> None:
        """Move complete messages to ``messages``, and queue answers to commands."""
        data = b"".join(self._received)
        end = 0
        answers: list[bytes] = []
        while (traffic := zmtp.next_traffic(data, end)) is not None:
            frames, commands, end = traffic
            if frames:
                messages.append(frames)
            answers.extend(map(zmtp.pong, commands))
        self._received[:] = [data[end:]]
        self.queue(b"".join(answers))


class _Outbound:
    """Bytes to send, and how many of them each call of send has sent."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.sent: list[int] = []

    @property
    def rest(self) -> bytes:
        return self._data[sum(self.sent) :]


def _some_bytes(received: bytes) -> bytes:
    """``received``. Raises ConnectionResetError for no bytes: the peer has disconnected."""
    if not received:
        raise ConnectionResetError
    return received
