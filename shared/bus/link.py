"""A process's asyncio connection to the broker: calls out, messages in, one reader.

One task-free reader per socket: asyncio watches ZeroMQ's descriptor and ``_drain`` empties it.
Futures are resolved by request id, so any number of calls share the one socket.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from shared.bus import envelope
from shared.bus.envelope import Envelope, Kind, current_cause
from shared.bus.socket import Dealer
from shared.errors import BangerError, Code

Progress = Callable[[str, str, float | None], None]
"""Called with (stage, message, fraction 0..1 or None) for every partial of a long verb."""


class _Outgoing:
    """A call in flight: where its final goes, and who hears its partials."""

    __slots__ = ("future", "on_partial")

    def __init__(self, on_partial: Progress | None) -> None:
        self.future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.on_partial = on_partial


class Link:
    """The connection. Create it inside a running loop; ``close`` it in the same one."""

    def __init__(
        self,
        broker_socket: Path,
        *,
        on_message: Callable[[Envelope, bytes], None] | None = None,
        on_up: Callable[[], None] | None = None,
    ) -> None:
        self.forwards_cancels = True
        """Whether who cancels a call cancels it at the service: not when it is only this process
        that leaves."""
        self._dealer = Dealer(broker_socket)
        self._calls: dict[bytes, _Outgoing] = {}
        self._on_message = on_message
        self._on_up = on_up
        self._loop = asyncio.get_running_loop()
        self._fds = (self._dealer.fd, self._dealer.monitor_fd)
        for fd in self._fds:
            self._loop.add_reader(fd, self._drain)
        self._loop.call_soon(self._drain)

    def send(self, header: Envelope, body: bytes) -> None:
        """Queue one message; raises ``unavailable`` or ``too_large``."""
        self._dealer.send(header, body)
        # Sending may consume the edge that would have told us of a waiting message.
        self._loop.call_soon(self._drain)

    async def call(
        self,
        service: str,
        verb: str,
        body: Any,
        *,
        deadline: float,
        on_partial: Progress | None = None,
        settle: bool = False,
    ) -> bytes:
        """Send a request and wait for its final's body, undecoded.

        Cancelling the caller sends ``cancel`` to the service, see ``forwards_cancels``. With
        ``settle``, the caller then waits for what the service makes of it, and is not cancelled
        when the service answers with anything but ``cancelled`` or ``unavailable``.

        Raises:
            BangerError: ``unavailable`` (also when the link drops), ``timeout``, ``too_large``.
        """
        cause = current_cause.get()
        request = Envelope(Kind.REQUEST, envelope.new_request_id(), service, verb, deadline, cause)
        outgoing = _Outgoing(on_partial)
        return await self._exchange(request, msgspec.msgpack.encode(body), outgoing, settle=settle)

    async def _exchange(
        self, request: Envelope, body: bytes, outgoing: _Outgoing, *, settle: bool
    ) -> bytes:
        self._calls[request.request_id] = outgoing
        try:
            self.send(request, body)
            async with asyncio.timeout(request.deadline - time.monotonic()):
                return await (asyncio.shield(outgoing.future) if settle else outgoing.future)
        except TimeoutError:
            raise BangerError(
                Code.TIMEOUT, f"{request.service} did not answer {request.verb} in time"
            ) from None
        except asyncio.CancelledError:
            if not self._send_cancel(request) or not settle:
                raise
            final = await self._settled(outgoing, request.deadline)
            if final is None:
                raise
            return final
        finally:
            del self._calls[request.request_id]

    def _send_cancel(self, request: Envelope) -> bool:
        """Whether the cancel is on its way."""
        if not self.forwards_cancels:
            return False
        cancel = Envelope(Kind.CANCEL, request.request_id, request.service, request.verb)
        try:
            self.send(cancel, msgspec.msgpack.encode({}))
        except BangerError:
            return False  # no broker: there is nobody to cancel at
        return True

    @staticmethod
    async def _settled(outgoing: _Outgoing, deadline: float) -> bytes | None:
        """The final of a request that was asked to end, or None when it did, or when no word of it
        came."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                body = await outgoing.future
        except (TimeoutError, BangerError):
            return None
        try:
            envelope.read_final(body)
        except BangerError as error:
            return None if error.code in (Code.CANCELLED, Code.UNAVAILABLE) else body
        return body

    def _drain(self) -> None:
        for up in self._dealer.link_changes():
            if up and self._on_up:
                self._on_up()
            elif not up:
                self._lose_calls()
        while (frames := self._dealer.receive()) is not None:
            self._accept(frames)

    def _lose_calls(self) -> None:
        for outgoing in self._calls.values():
            if not outgoing.future.done():
                outgoing.future.set_exception(
                    BangerError(Code.UNAVAILABLE, "the connection to the broker was lost")
                )

    def _accept(self, frames: list[bytes]) -> None:
        try:
            header = envelope.decode(frames[0])
            body = frames[1]
        except (BangerError, IndexError):
            return  # only the broker can have sent this; there is nobody better to tell
        outgoing = self._calls.get(header.request_id)
        if header.kind is Kind.FINAL and outgoing:
            if not outgoing.future.done():
                outgoing.future.set_result(body)
        elif header.kind is Kind.PARTIAL and outgoing:
            _deliver_partial(outgoing, body)
        elif self._on_message:
            self._on_message(header, body)

    def close(self) -> None:
        for fd in self._fds:
            self._loop.remove_reader(fd)
        self._dealer.close()


def _deliver_partial(outgoing: _Outgoing, body: bytes) -> None:
    if outgoing.on_partial is None:
        return
    try:
        partial = envelope.decode_body(body)
    except BangerError:
        return  # progress is a courtesy; the final still tells the truth
    fraction = partial.get("fraction")
    outgoing.on_partial(
        str(partial.get("stage", "")),
        str(partial.get("message", "")),
        float(fraction) if isinstance(fraction, int | float) else None,
    )
