"""Messages that the kernel does not take yet, with a limit for each destination.

The broker never waits for a peer. A message that cannot be sent now is kept here, and a peer that
does not read loses only its own messages.
"""

from collections import deque
from collections.abc import Callable

from services.broker.core import Send
from shared.errors import Code

MAX_MESSAGES = 1000
MAX_BYTES = 16 * 1024 * 1024


class Outbox:
    """Queues by destination. ``send`` is Router.send: (peer, header, body) -> failure or None."""

    def __init__(self, send: Callable[[bytes, bytes, bytes], Code | None]) -> None:
        self._send = send
        self._queues: dict[bytes, deque[Send]] = {}
        self._bytes: dict[bytes, int] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def push(self, message: Send) -> Code | None:
        """Send now or keep for later. Returns the code of the failure when neither is possible."""
        if message.peer in self._queues:
            return self._keep(message)
        failure = self._send(message.peer, message.header, message.body)
        return self._keep(message) if failure is Code.BUSY else failure

    def _keep(self, message: Send) -> Code | None:
        queue = self._queues.get(message.peer, deque())
        size = self._bytes.get(message.peer, 0) + len(message.header) + len(message.body)
        if len(queue) >= MAX_MESSAGES or size > MAX_BYTES:
            return Code.BUSY
        self._queues[message.peer] = queue
        queue.append(message)
        self._bytes[message.peer] = size
        return None

    def flush(self) -> list[tuple[Send, Code]]:
        """Try every destination again. Returns the messages that can never be delivered."""
        failed: list[tuple[Send, Code]] = []
        for peer in list(self._queues):
            failed += self._flush_one(peer)
        return failed

    def _flush_one(self, peer: bytes) -> list[tuple[Send, Code]]:
        queue = self._queues[peer]
        while queue:
            message = queue[0]
            failure = self._send(peer, message.header, message.body)
            if failure is Code.BUSY:
                return []
            if failure is not None:
                self._drop(peer)
                return [(lost, failure) for lost in queue]
            queue.popleft()
            self._bytes[peer] -= len(message.header) + len(message.body)
        self._drop(peer)
        return []

    def _drop(self, peer: bytes) -> None:
        del self._queues[peer]
        del self._bytes[peer]
