"""The CLI's connection: synchronous, without asyncio, cheap to import.

Retry rule (docs/protocol.md section 4): when the link drops, a call that may be sent again is sent
again with the same id and deadline; the receiver attaches it to what it already does.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgpack

from shared.bus import envelope
from shared.bus.envelope import Envelope, Kind
from shared.bus.record import Record
from shared.bus.unix_dealer import UnixDealer
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.verb import Request

Result = TypeVar("Result")

CONNECT_SECONDS = 4.0
"""How long to wait for a broker whose socket exists, and for a crashed service to come back."""

Partial = Callable[[dict[str, Any]], None]
Outcome = dict[str, Any] | BangerError
"""The result of one of several calls, or why there is none."""


class Client:
    """One connection, one call at a time. A context manager."""

    def __init__(self, broker_socket: Path) -> None:
        self._socket_path = broker_socket
        self._dealer = UnixDealer(broker_socket)
        self._sent = False
        """Whether the last request has left: if not, the broker has been waited for already."""
        self._asked: list[Envelope] = []
        self._finals: dict[bytes, bytes] = {}
        """Of the last ``call_many``, by request id; kept for a ``cancel_all``."""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self,
        request: "Request[Result]",
        *,
        timeout: float | None = None,
        retry: bool = True,
        on_partial: Partial | None = None,
        request_id: bytes = b"",
    ) -> Result:
        """Ask a service and return the result, as a ``Record``.

        ``timeout`` is in seconds; without one, the verb's time limit holds. ``request_id`` is for
        those who may want to ``cancel``; one is made when it is empty.

        Raises:
            BangerError: what the service answered, or ``unavailable`` or ``timeout``.
        """
        seconds = request.seconds if timeout is None else timeout
        result = self.call(
            request.service,
            request.verb.name,
            request.body,
            timeout=seconds,
            retry=retry,
            on_partial=on_partial,
            request_id=request_id,
        )
        return cast(Result, result)

    def ask_all(
        self, requests: "Sequence[Request[Result]]", *, timeout: float | None = None
    ) -> "list[Result | BangerError]":
        """Ask all at once; the outcomes are in the order of ``requests``, which have one verb.

        A request that fails is its ``BangerError`` in the list. An unavailable service is asked
        again for a moment, as in ``ask``.
        """
        if not requests:
            return []
        first = requests[0]
        outcomes = self.call_many(
            first.service,
            first.verb.name,
            [request.body for request in requests],
            timeout=first.seconds if timeout is None else timeout,
        )
        return cast("list[Result | BangerError]", outcomes)

    def call(
        self,
        service: str,
        verb: str,
        body: dict[str, Any] | None = None,
        *,
        timeout: float = 10.0,
        retry: bool = True,
        on_partial: Partial | None = None,
        request_id: bytes = b"",
    ) -> dict[str, Any]:
        """Ask ``service`` for ``verb`` and return the result; ``timeout`` in seconds.

        ``request_id`` is for those who may want to ``cancel``; one is made when it is empty.

        Raises:
            BangerError: what the service answered, or ``unavailable`` or ``timeout``.
        """
        deadline = time.monotonic() + timeout
        request_id = request_id or envelope.new_request_id()
        request = Envelope(Kind.REQUEST, request_id, service, verb, deadline)
        return self._persist(request, _packed(body or {}), on_partial, retry=retry)

    def _persist(
        self, request: Envelope, body: bytes, heard: Partial | None = None, *, retry: bool = True
    ) -> dict[str, Any]:
        """Ask, and ask again for as long as there is patience with what is unavailable."""
        patience = _Patience(request.deadline)
        while True:
            asked = time.monotonic()
            try:
                return envelope.read_final(self._exchange(request, body, heard), Record)
            except BangerError as error:
                hopeless = not self._sent or not patience.is_left(asked)
                if not retry or error.code is not Code.UNAVAILABLE or hopeless:
                    raise
                self._pause(0.05)

    def call_many(
        self,
        service: str,
        verb: str,
        bodies: Sequence[dict[str, Any]],
        *,
        timeout: float = 10.0,
    ) -> list[Outcome]:
        """Ask for the same verb with each of ``bodies`` at once; the answers in their order.

        One that fails is its ``BangerError`` in the list, so the others are not lost with it.
        What is unavailable is asked for again for a moment, as in ``call``.
        """
        deadline = time.monotonic() + timeout
        requests = {
            Envelope(Kind.REQUEST, envelope.new_request_id(), service, verb, deadline): body
            for body in bodies
        }
        self._asked, self._finals = list(requests), {}
        return list(self._persist_all(requests, deadline).values())

    def cancel_all(self, *, timeout: float) -> list[Outcome]:
        """Ask the service to end what the last ``call_many`` was interrupted in.

        The outcomes are in its order: each is ``cancelled``, or what had been answered before.
        """
        deadline = time.monotonic() + timeout
        cancels = [
            Envelope(Kind.CANCEL, asked.request_id, asked.service, asked.verb, deadline)
            for asked in self._asked
            if asked.request_id not in self._finals
        ]
        ended = self._persist_all({cancel: {} for cancel in cancels}, deadline)
        outcomes = {cancel.request_id: outcome for cancel, outcome in ended.items()}
        failure = BangerError(Code.INTERNAL, "an answer got lost")
        return [
            outcomes.get(asked.request_id) or self._outcome(asked, failure) for asked in self._asked
        ]

    def _persist_all(
        self, requests: Mapping[Envelope, dict[str, Any]], deadline: float
    ) -> dict[Envelope, Outcome]:
        """``_persist`` for several; the outcomes are in the order of ``requests``."""
        patience = _Patience(deadline)
        outcomes: dict[Envelope, Outcome] = {}
        todo = list(requests)
        while todo:
            asked = time.monotonic()
            outcomes |= self._exchange_all({request: requests[request] for request in todo})
            todo = [request for request in todo if _is_lost(outcomes[request])]
            if not todo or not self._sent or not patience.is_left(asked):
                break
            self._pause(0.05)
        return outcomes

    def _exchange_all(self, requests: dict[Envelope, dict[str, Any]]) -> dict[Envelope, Outcome]:
        failure = BangerError(Code.INTERNAL, "a request got lost")
        self._sent = False
        try:
            for request, body in requests.items():
                self._finals.pop(request.request_id, None)
                self._send_when_connected(request, _packed(body))
            self._sent = True
            self._gather(list(requests))
        except BangerError as error:
            failure = error
        return {request: self._outcome(request, failure) for request in requests}

    def _outcome(self, request: Envelope, failure: BangerError) -> Outcome:
        final = self._finals.get(request.request_id)
        if final is None:
            return failure
        try:
            return envelope.read_final(final, Record)
        except BangerError as error:
            return error

    def _gather(self, requests: Sequence[Envelope]) -> None:
        wanted = {request.request_id for request in requests}
        while wanted - self._finals.keys():
            for header, body in self._received():
                if header.kind is Kind.FINAL and header.request_id in wanted:
                    self._finals[header.request_id] = body
            if wanted - self._finals.keys():
                self._wait(requests[0])

    def cancel(
        self, service: str, verb: str, request_id: bytes, *, timeout: float = 30.0
    ) -> dict[str, Any]:
        """Ask the service to end the request that ``call`` was interrupted in.

        Returns the result when the request was done before the cancel came.

        Raises:
            BangerError: ``cancelled`` when it took effect; ``timeout`` when no answer came.
        """
        deadline = time.monotonic() + timeout
        request = Envelope(Kind.CANCEL, request_id, service, verb, deadline)
        return self._persist(request, msgpack.packb({}))

    def ping(self, service: str, *, timeout: float = 2.0) -> dict[str, Any]:
        """What the service's main loop says of itself: {build, pid, ...}."""
        deadline = time.monotonic() + timeout
        request = Envelope(Kind.PING, envelope.new_request_id(), service, "", deadline)
        return envelope.read_final(self._exchange(request, msgpack.packb({}), None))

    def _exchange(self, request: Envelope, body: bytes, heard: Partial | None) -> bytes:
        self._sent = False
        self._send_when_connected(request, body)
        self._sent = True
        while True:
            for header, received in self._received():
                if header.request_id != request.request_id:
                    continue
                if header.kind is Kind.FINAL:
                    return received
                if header.kind is Kind.PARTIAL and heard:
                    heard(envelope.decode_body(received))
            self._wait(request)

    def _received(self) -> Iterator[tuple[Envelope, bytes]]:
        """Messages that are there now; what is not well formed is dropped."""
        while (frames := self._dealer.receive()) is not None:
            try:
                header = envelope.decode(frames[0])
            except BangerError as error:
                if error.code is Code.INCOMPATIBLE:
                    raise
                continue
            if len(frames) >= 2:
                yield header, frames[1]

    def _send_when_connected(self, request: Envelope, body: bytes) -> None:
        limit = min(request.deadline, time.monotonic() + CONNECT_SECONDS)
        while True:
            try:
                self._dealer.send(request, body)
                return
            except BangerError as error:
                if error.code is not Code.UNAVAILABLE or time.monotonic() >= limit:
                    raise
            self._dealer.wait(limit - time.monotonic())  # for the handshake
            list(self._dealer.link_changes())

    def _wait(self, request: Envelope) -> None:
        left = request.deadline - time.monotonic()
        if left <= 0:
            raise BangerError(
                Code.TIMEOUT,
                f"{request.service} did not answer {request.verb} in time",
                hint="banger daemon status shows whether the services are well",
                details={"request_id": request.request_id.hex()},
            )
        message, changed = self._dealer.wait(left)
        if changed and not message and not all(self._dealer.link_changes()):
            raise BangerError(
                Code.UNAVAILABLE,
                "the connection to the broker was lost",
                hint="the request may have been carried out; look with banger vm list",
                details={"request_id": request.request_id.hex()},
            )

    def _pause(self, seconds: float) -> None:
        self._dealer.wait(seconds)
        list(self._dealer.link_changes())

    def close(self) -> None:
        self._dealer.close()


class _Patience:
    """How long what is unavailable is asked for again: ``CONNECT_SECONDS`` from its loss on,
    however long the request had been at work before."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._lost: float | None = None

    def is_left(self, asked: float) -> bool:
        """``asked``: when the request that was lost just now had been sent."""
        now = time.monotonic()
        if self._lost is None or now - asked > CONNECT_SECONDS:
            self._lost = now
        return now <= min(self._deadline, self._lost + CONNECT_SECONDS)


def _packed(body: dict[str, Any]) -> bytes:
    try:
        packed: bytes = msgpack.packb(body, default=_fields)
    except UnicodeEncodeError as error:  # a word of the command line, as os.fsdecode gives it
        raise BangerError(Code.INVALID, f"{error.object!r} is not UTF-8") from None
    return packed


def _fields(value: Any) -> Any:
    """The fields of a struct in a request; who made one has imported msgspec already."""
    from msgspec import to_builtins

    return to_builtins(value)


def _is_lost(outcome: Outcome) -> bool:
    return isinstance(outcome, BangerError) and outcome.code is Code.UNAVAILABLE
