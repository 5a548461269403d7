"""A peer on the bus that a test holds in its hand: sends what it is told, hears what comes."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import msgpack

from shared.bus import envelope
from shared.bus.envelope import PROTOCOL, Envelope, Kind
from shared.bus.socket import Dealer
from shared.errors import BangerError

PATIENCE = 5.0
"""Seconds a test waits for an answer before it fails."""


class Silence(AssertionError):
    """What a test waited for did not come."""


class Peer:
    """One connection; a context manager."""

    def __init__(self, broker_socket: Path, *, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._dealer = Dealer(broker_socket)
        try:
            self._wait_until(lambda: any(self._dealer.link_changes()), "a connection to the broker")
        except Silence:
            self._dealer.close()
            raise

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._dealer.close()

    def send(self, header: Envelope, body: dict[str, Any] | None = None) -> None:
        self._dealer.send(header, msgpack.packb(body or {}))

    def ask(
        self,
        service: str,
        verb: str,
        body: dict[str, Any] | None = None,
        *,
        request_id: bytes = b"",
        seconds: float = PATIENCE,
        kind: Kind = Kind.REQUEST,
    ) -> bytes:
        """Send a request and return its id; the answer is taken with ``final``."""
        request_id = request_id or envelope.new_request_id()
        deadline = time.monotonic() + seconds
        self.send(Envelope(kind, request_id, service, verb, deadline), body)
        return request_id

    def call(self, service: str, verb: str, /, **body: Any) -> dict[str, Any]:
        """Ask and wait: the result, or the BangerError of the final."""
        return self.final(self.ask(service, verb, body))

    def final(self, request_id: bytes) -> dict[str, Any]:
        """The result of the request; what else comes before its final is dropped."""
        while True:
            header, body = self.receive()
            if header.request_id == request_id and header.kind is Kind.FINAL:
                return envelope.read_final(body)

    def receive(self) -> tuple[Envelope, bytes]:
        """The next message, whatever it is."""
        limit = time.monotonic() + self._patience
        while (frames := self._dealer.receive()) is None:
            if time.monotonic() > limit:
                raise Silence(f"nothing was received in {self._patience} s")
            self._dealer.wait(limit - time.monotonic())
        header, body = frames
        return envelope.decode(header), body

    def hears_nothing_before(self, service: str) -> bool:
        """Whether nothing is on its way: the next message answers a ping that is sent now."""
        request_id = self.ask(service, "", kind=Kind.PING)
        return self.receive()[0].request_id == request_id

    def wait_for_loss(self) -> None:
        """Return when the connection to the broker has dropped."""
        self._wait_until(lambda: not all(self._dealer.link_changes()), "the connection to drop")

    def register(self, name: str) -> dict[str, Any]:
        """Become a service."""
        request_id = envelope.new_request_id()
        body = {"instance": "00", "pid": os.getpid(), "build": "test", "protocol": PROTOCOL}
        self.send(Envelope(Kind.READY, request_id, name), body)
        return self.final(request_id)

    def _wait_until(self, happened: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + self._patience
        while not happened():
            if time.monotonic() > limit:
                raise Silence(f"waited {self._patience} s for {what}")
            self._dealer.wait(limit - time.monotonic())


def error_of(answer: Callable[[], object]) -> BangerError:
    """The error that ``answer`` ends in; fails when it succeeds."""
    try:
        result = answer()
    except BangerError as error:
        return error
    raise AssertionError(f"no error but {result!r}")
