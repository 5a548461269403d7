"""The CLI's connection: synchronous, without asyncio, cheap to import.

Retry rule (docs/protocol.md section 4): when the link drops, a call that may be sent again is sent
again with the same id and deadline; the receiver attaches it to what it already does.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgpack

from shared.bus import envelope
from shared.bus.envelope import Envelope, Kind
from shared.bus.record import Record
from shared.bus.unix_dealer import UnixDealer
from shared.errors import STOPPED, BangerError, Code

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contract.verb import Request
    from shared.host.retry import RetryWindow

Result = TypeVar("Result")

CONNECT_SECONDS = 4.0
"""How long to wait for a broker whose socket exists, and for a crashed service to come back."""

RESTART_SECONDS = 15.0
"""How long to wait for services that were stopped under a request: `banger daemon restart`."""

PAUSE = 0.05
"""Seconds before an unavailable service is asked again."""
CANCEL_SECONDS = 60.0
"""How long a service may take to end what it is at work on."""

Partial = Callable[[dict[str, Any]], None]
Outcome = dict[str, Any] | BangerError
"""The result of one of several requests, or why there is none."""


class Client:
    """One connection, one question at a time. A context manager.

    Results are ``Record``s; for the type checker they are the structs of the catalogue.
    """

    def __init__(self, broker_socket: "str | Path") -> None:
        self._dealer = UnixDealer(broker_socket)
        self._sent = False
        """Whether the last request has left: if not, the broker has been waited for already."""
        self._asked: dict[Request[Any], Envelope] = {}
        """The requests of the last ``ask`` or ``ask_all``, for a ``cancel``."""
        self._restarting = False
        """Whether a service was stopped while it was at work on the last request."""
        self._finals: dict[bytes, bytes] = {}
        """Answers to the last ``ask_all``, by request id."""
        self._heard: dict[bytes, Partial] = {}
        """Who is told of the progress of its requests."""

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
    ) -> Result:
        """Ask a service and return the result; of a list, all of its pages as one.

        ``timeout`` is in seconds, for each page; without one, the verb's time limit holds. With
        ``retry``, an unavailable service is asked again for a moment.

        Raises:
            BangerError: what the service answered, or ``unavailable`` or ``timeout``.
        """
        (asked,) = self._remember([request], timeout)
        result = self._persist(asked, _packed(request.body), on_partial, retry=retry)
        while cursor := result.get("next"):
            (asked,) = self._remember([request], timeout)
            body = _packed(request.after(cursor).body)
            _add_page(result, self._persist(asked, body, retry=retry))
        return cast(Result, result)

    def ask_all(
        self,
        requests: "Sequence[Request[Result]]",
        *,
        timeout: float | None = None,
        on_partials: Sequence[Partial] = (),
    ) -> "list[Result | BangerError]":
        """Ask all at once; the outcomes are in the order of ``requests``.

        A request that fails is its ``BangerError`` in the list. An unavailable service is asked
        again for a moment, as in ``ask``. ``on_partials``: one for each request.
        """
        asked = self._remember(requests, timeout)
        ids = (each.request_id for each in asked)
        self._heard = dict(zip(ids, on_partials, strict=False))
        self._finals = {}
        bodies = [request.body for request in requests]
        outcomes = self._persist_all(dict(zip(asked, bodies, strict=True)))
        return cast("list[Result | BangerError]", list(outcomes.values()))

    def _remember(
        self, requests: "Sequence[Request[Any]]", timeout: float | None
    ) -> list[Envelope]:
        now = time.monotonic()
        self._restarting = False
        self._asked = {
            request: Envelope(
                Kind.REQUEST,
                envelope.new_request_id(),
                request.service,
                request.verb.name,
                now + (request.seconds if timeout is None else timeout),
            )
            for request in requests
        }
        return list(self._asked.values())

    def _persist(
        self, request: Envelope, body: bytes, heard: Partial | None = None, *, retry: bool = True
    ) -> dict[str, Any]:
        """Ask, and with ``retry`` ask an unavailable service again for a moment.

        When that is in vain, the first failure is raised: it says what became of the request. The
        later ones only say which service is not back yet.
        """
        retries = _Retries(request.deadline)
        first: BangerError | None = None
        while True:
            try:
                return envelope.read_final(self._exchange(request, body, heard), Record)
            except BangerError as error:
                first = first or error
                self._restarting = self._restarting or STOPPED in error.details
                if not retry or not self._sent or not retries.may(error):
                    raise _what_became(first, error) from None
                self._pause(PAUSE)

    def cancel(self, request: "Request[Result]", *, timeout: float = CANCEL_SECONDS) -> Result:
        """Ask the service to end ``request``, which the last ``ask`` was interrupted in.

        Returns the result when the request was done before the cancel came.

        Raises:
            BangerError: ``cancelled`` when it took effect; ``timeout`` when no answer came.
        """
        cancel = _cancelling(self._asked[request], time.monotonic() + timeout)
        return cast(Result, self._persist(cancel, _packed({})))

    def cancel_all(
        self, requests: "Sequence[Request[Result]]", *, timeout: float = CANCEL_SECONDS
    ) -> "list[Result | BangerError]":
        """Ask the services to end ``requests``, which the last ``ask_all`` was interrupted in.

        The outcomes are in the order of ``requests``: each is ``cancelled``, or what had been
        answered before.
        """
        deadline = time.monotonic() + timeout
        all_asked = [self._asked[request] for request in requests]
        cancels = [
            _cancelling(asked, deadline)
            for asked in all_asked
            if asked.request_id not in self._finals
        ]
        ended = self._persist_all({cancel: {} for cancel in cancels})
        outcomes = {cancel.request_id: outcome for cancel, outcome in ended.items()}
        failure = BangerError(Code.INTERNAL, "an answer got lost")
        answers = [
            outcomes.get(asked.request_id) or self._outcome(asked, failure) for asked in all_asked
        ]
        return cast("list[Result | BangerError]", answers)

    def _persist_all(self, requests: Mapping[Envelope, Any]) -> dict[Envelope, Outcome]:
        """``_persist`` for several; the outcomes are in the order of ``requests``."""
        retries = _Retries(max((request.deadline for request in requests), default=0.0))
        outcomes: dict[Envelope, Outcome] = {}
        firsts: dict[Envelope, BangerError] = {}
        todo = list(requests)
        while todo:
            outcomes |= self._exchange_all({request: requests[request] for request in todo})
            failed = {
                request: outcome
                for request in todo
                if isinstance(outcome := outcomes[request], BangerError)
            }
            for request, error in failed.items():
                self._restarting = self._restarting or STOPPED in error.details
                outcomes[request] = _what_became(firsts.setdefault(request, error), error)
            todo = [r for r, error in failed.items() if self._sent and retries.may(error)]
            if todo:
                self._pause(PAUSE)
        return outcomes

    def _exchange_all(self, requests: dict[Envelope, Any]) -> dict[Envelope, Outcome]:
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
                if header.request_id not in wanted:
                    continue
                if header.kind is Kind.FINAL:
                    self._finals[header.request_id] = body
                elif header.kind is Kind.PARTIAL and header.request_id in self._heard:
                    self._heard[header.request_id](envelope.decode_body(body))
            if wanted - self._finals.keys():
                self._wait(requests[0])

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
        patience = RESTART_SECONDS if self._restarting else CONNECT_SECONDS
        limit = min(request.deadline, time.monotonic() + patience)
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
                hint="check the services: banger daemon status",
                details={"request_id": request.request_id.hex()},
            )
        message, changed = self._dealer.wait(left)
        if changed and not message and not all(self._dealer.link_changes()):
            raise BangerError(
                Code.UNAVAILABLE,
                "the connection to the broker was lost",
                hint="the request may have been carried out, check with: banger vm list",
                details={"request_id": request.request_id.hex()},
            )

    def _pause(self, seconds: float) -> None:
        self._dealer.wait(seconds)
        list(self._dealer.link_changes())

    def close(self) -> None:
        self._dealer.close()


def _what_became(first: BangerError, last: BangerError) -> BangerError:
    """Of the failures of one request the one to report: the first, which says what became of the
    request, if the last only says that a service is not back yet, or that what a stopped service
    had begun is in the way of doing it again."""
    again = (Code.UNAVAILABLE, Code.CONFLICT) if STOPPED in first.details else (Code.UNAVAILABLE,)
    return first if last.code in again else last


class _Retries:
    """Whether an unavailable service is asked again: for ``CONNECT_SECONDS``, or for
    ``RESTART_SECONDS`` after it was stopped, until a deadline."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._window: RetryWindow | None = None

    def may(self, error: BangerError) -> bool:
        from shared.host.retry import RetryWindow

        if STOPPED in error.details:
            self._window = RetryWindow(RESTART_SECONDS)
        self._window = self._window or RetryWindow(CONNECT_SECONDS)
        return self._window.is_open(error) and time.monotonic() < self._deadline


def _add_page(listing: dict[str, Any], page: dict[str, Any]) -> None:
    """Append the lists of the next page to those of the pages before."""
    if page.get("next") == listing["next"]:
        raise BangerError(Code.BAD_MESSAGE, "a page of a list leads to itself")
    for field, value in page.items():
        listing[field] = listing[field] + value if isinstance(value, list) else value


def _cancelling(asked: Envelope, deadline: float) -> Envelope:
    return Envelope(Kind.CANCEL, asked.request_id, asked.service, asked.verb, deadline)


def _packed(body: Any) -> bytes:
    try:
        packed: bytes = msgpack.packb(body, default=_fields)
    except UnicodeEncodeError as error:  # a word of the command line, as os.fsdecode gives it
        raise BangerError(Code.INVALID, f"{error.object!r} is not UTF-8") from None
    except OverflowError:
        raise BangerError(Code.INVALID, "a number is too large") from None
    return packed


def _fields(value: Any) -> Any:
    """The fields of a struct in a request; who made one has imported msgspec already."""
    from msgspec import to_builtins

    return to_builtins(value)
