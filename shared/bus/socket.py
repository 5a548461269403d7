"""The only module that imports zmq: four socket wrappers with the options that matter, set once.

Reasons for each option are in docs/decisions/0002-zeromq-options.md; the rules they come from are
the ZeroMQ guide's and zmq_setsockopt(3)'s.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq

from shared.bus.envelope import MAX_MESSAGE, Envelope, check_size, encode
from shared.errors import BangerError, Code

LINGER_MS = 500
RECONNECT_MS, RECONNECT_MAX_MS = 20, 500


def _context() -> "zmq.Context[zmq.Socket[bytes]]":
    return zmq.Context.instance()


def start_io_threads() -> None:
    """Start ZeroMQ's own threads now: they make all connections, with this thread's identity."""
    _context().socket(zmq.DEALER).close()


def close_context() -> None:
    """End ZeroMQ in this process; call it last, after every socket is closed."""
    _context().term()


class Dealer:
    """A service's one connection to the broker. Owned by one thread."""

    def __init__(self, path: Path) -> None:
        self._socket = _context().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # no queue while there is no broker
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE + 4096)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._socket.connect(f"ipc://{path}")

    @property
    def fd(self) -> int:
        """Edge-triggered: after it fires, ``receive`` until None (zmq_getsockopt(3), ZMQ_FD)."""
        return int(self._socket.getsockopt(zmq.FD))

    @property
    def monitor_fd(self) -> int:
        return int(self._monitor.getsockopt(zmq.FD))

    def send(self, envelope: Envelope, body: bytes) -> None:
        """Queue one message.

        Raises:
            BangerError: ``too_large``; ``unavailable`` when no broker is connected.
        """
        header = encode(envelope)
        check_size(header, body)
        try:
            self._send(header, body)
        except zmq.Again:
            raise BangerError(
                Code.UNAVAILABLE,
                "the broker is not running",
                hint="check the services: banger daemon status",
            ) from None

    def _send(self, header: bytes, body: bytes) -> None:
        try:
            self._socket.send_multipart((header, body), zmq.NOBLOCK)
        except zmq.Again:
            # A send looks for new connections at most once a millisecond or so; asking for the
            # events always does. Without it a send right after the handshake fails for nothing.
            self._socket.getsockopt(zmq.EVENTS)
            self._socket.send_multipart((header, body), zmq.NOBLOCK)

    def receive(self) -> list[bytes] | None:
        """The next message's frames, or None when there is none right now."""
        try:
            return self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def link_changes(self) -> Iterator[bool]:
        """Changes of the connection since the last call: True for up, False for down."""
        while True:
            try:
                event, _address = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield int.from_bytes(event[:2], "little") == zmq.EVENT_HANDSHAKE_SUCCEEDED

    def wait(self, seconds: float) -> tuple[bool, bool]:
        """Block until (a message, a link change) is there, or ``seconds`` have passed."""
        ready = dict(self._poller.poll(max(0, int(seconds * 1000))))
        return self._socket in ready, self._monitor in ready

    def close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close()


class Router:
    """The broker's side: routing, peer credentials, and refusal instead of silence."""

    def __init__(self, path: Path) -> None:
        self._socket = _context().socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # EHOSTUNREACH instead of a silent drop
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE + 4096)
        self._path = path
        self._socket.bind(f"ipc://{path}")
        self._trusted: dict[bytes, None] = {}
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)

    def receive(self) -> tuple[bytes, list[bytes], int | None] | None:
        """(routing id, frames, uid of a peer not yet trusted) or None when nothing is there.

        The uid is looked up only until ``trust`` is called: it takes a zero-copy frame, which
        costs more than the rest of the receive.
        """
        try:
            peer = self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return None
        uid = None
        frames: list[bytes] = []
        while self._socket.getsockopt(zmq.RCVMORE):
            if peer in self._trusted or frames:
                frames.append(self._socket.recv())
            else:
                frame = self._socket.recv(copy=False)
                uid = peer_uid(frame)
                frames.append(frame.bytes)
        return peer, frames, uid

    def trust(self, peer: bytes) -> None:
        """Stop looking up the credentials of ``peer``; the oldest of 4096 are forgotten."""
        self._trusted[peer] = None
        if len(self._trusted) > 4096:
            del self._trusted[next(iter(self._trusted))]

    def send(self, peer: bytes, header: bytes, body: bytes) -> Code | None:
        """Hand one message to the kernel, or say why not: ``unavailable`` or ``busy``."""
        try:
            self._socket.send_multipart((peer, header, body), zmq.NOBLOCK)
        except zmq.Again:
            return Code.BUSY
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return Code.UNAVAILABLE
            raise
        return None

    def watch(self, fd: int) -> None:
        """Let ``poll`` also wake for ``fd``."""
        self._poller.register(fd, zmq.POLLIN)

    def unwatch(self, fd: int) -> None:
        self._poller.unregister(fd)

    def poll(self, seconds: float) -> set[int]:
        """Wait for a message or for a watched descriptor; returns the ready descriptors."""
        ready: list[tuple[Any, int]] = self._poller.poll(max(0, int(seconds * 1000)))
        return {item for item, _ in ready if isinstance(item, int)}

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)  # libzmq leaves it; whoever sees it waits for nobody


NO_UID = -1
"""A peer whose credentials the kernel did not give; trusted by nobody."""


def peer_uid(frame: zmq.Frame) -> int:
    """The uid behind a frame, or NO_UID.

    For ipc peers libzmq appends ":uid:gid:pid" to Peer-Address; zmq_msg_gets(3) names the property
    but not this format, so a test pins it.
    """
    try:
        fields = str(frame.get("Peer-Address")).rsplit(":", 3)
    except zmq.ZMQError:
        return NO_UID
    return int(fields[1]) if len(fields) == 4 and fields[1].isdigit() else NO_UID


SUBSCRIBED = "~subscribed"
"""The topic, followed by a subscriber's own token, by which the publisher confirms subscriptions.
libzmq sends those of a new connection in the order of their bytes, so this one is the last."""


class Publisher:
    """The broker's event socket. An XPUB sees the subscriptions, so that it can confirm them."""

    def __init__(self, path: Path) -> None:
        self._socket = _context().socket(zmq.XPUB)
        # A subscriber that comes back may be here before its old connection is seen to be gone.
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._path = path
        self._socket.bind(f"ipc://{path}")

    @property
    def fd(self) -> int:
        """Edge-triggered: after it fires, ``confirm``."""
        return int(self._socket.getsockopt(zmq.FD))

    def publish(self, topic: str, header: bytes, body: bytes) -> None:
        self._socket.send_multipart((topic.encode(), header, body), zmq.NOBLOCK)
        self.confirm()

    def confirm(self) -> None:
        """Tell each new subscriber that it gets what is published from here on."""
        while True:
            try:
                change = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if change.startswith(b"\1" + SUBSCRIBED.encode()):
                self._socket.send_multipart((change[1:], b"", b""), zmq.NOBLOCK)

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


class Subscriber:
    """The events whose topic starts with one of ``topics``."""

    def __init__(self, path: Path, topics: list[str]) -> None:
        self._socket = _context().socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        self._confirmation = f"{SUBSCRIBED}.{secrets.token_hex(8)}".encode()
        for topic in (*(each.encode() for each in topics), self._confirmation):
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        self._socket.connect(f"ipc://{path}")
        self._confirmed = False

    @property
    def fd(self) -> int:
        """Edge-triggered: after it fires, ``receive`` until None."""
        return int(self._socket.getsockopt(zmq.FD))

    def receive(self) -> list[bytes] | None:
        """The next event's frames: topic, header and body; None when there is none right now."""
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            if frames[0] != self._confirmation:
                return frames
            self._confirmed = True

    def subscribed(self) -> bool:
        """Whether ``receive`` has come to where subscriptions came into force, since the last call:
        what was published before may be lost, and nothing after."""
        confirmed, self._confirmed = self._confirmed, False
        return confirmed

    def close(self) -> None:
        self._socket.close()
