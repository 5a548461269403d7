"""A bus in one process: requests go through the wire's form to whoever serves them here."""

import time
from collections import defaultdict
from typing import Any, cast

import msgspec

from shared.bus.envelope import Envelope, Kind, new_request_id
from shared.bus.handlers import Call, Handler, collect_handlers, decode_request
from shared.bus.link import Link, Progress
from shared.contract.verb import Request, Result
from shared.errors import BangerError, Code


class FakeBus:
    """Services are objects with ``@handles`` methods, fakes or real ones."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        """"service verb.name" and the body of every request; supervisors are "vm"."""
        self.troubles: dict[str, list[BangerError]] = defaultdict(list)
        """By "service verb.name": what the next requests are answered with in place of a result."""
        self._handlers: dict[str, dict[str, Handler]] = {}

    def serve(self, service: str, *groups: object) -> None:
        for group in groups:
            self._handlers.setdefault(service, {}).update(collect_handlers(group))

    def leave(self, service: str) -> None:
        self._handlers.pop(service, None)

    def verbs(self) -> list[str]:
        """What was asked, in its order."""
        return [verb for verb, _ in self.asked]

    async def ask(
        self,
        request: Request[Result],
        *,
        deadline: float | None = None,
        on_partial: Progress | None = None,
        settle: bool = False,
    ) -> Result:
        """As ``Actor.ask``. A cancel reaches the handler itself, so it always settles."""
        verb = request.verb
        name = f"{request.service.partition(':')[0]} {verb.name}"
        body = decode_request(msgspec.msgpack.encode(request.body), verb.request)
        self.asked.append((name, body))
        if self.troubles[name]:
            raise self.troubles[name].pop(0)
        handler = self._handlers.get(request.service, {}).get(verb.name)
        if handler is None:
            raise BangerError(Code.UNAVAILABLE, f"{request.service} is not there")
        limit = time.monotonic() + request.seconds if deadline is None else deadline
        call = FakeCall(deadline=limit)
        if on_partial:
            call.on_progress = lambda stage, message: on_partial(stage, message, None)
        try:
            result = await handler.answer(body, call)
        except BangerError as error:
            raise BangerError.from_wire(error.to_wire()) from None
        if verb.result is type(None):
            return None
        return msgspec.msgpack.decode(msgspec.msgpack.encode(result), type=verb.result)


class FakeCall(Call):
    """A call of nobody's: progress is heard by ``on_progress`` alone."""

    def __init__(self, *, request_id: bytes = b"", deadline: float = 0.0) -> None:
        limit = deadline or time.monotonic() + 10
        request = Envelope(Kind.REQUEST, request_id or new_request_id(), "", "", limit)
        super().__init__(cast(Link, _Nowhere()), request)


class _Nowhere:
    def send(self, _header: Envelope, _body: bytes) -> None:
        pass
