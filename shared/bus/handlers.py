"""How a service takes verbs: the mark on a handler, what a handler knows of its call, and bodies.

A handler is a method that takes the request's struct and a ``Call`` and returns the result::

    @handles(store.VM_REMOVE)
    async def remove(self, request: VmId, call: Call) -> None: ...
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import msgspec

from shared.bus.envelope import Envelope, Kind
from shared.bus.link import Link
from shared.contract.verb import RequestBody, Result, Verb
from shared.errors import BangerError, Code

T = TypeVar("T")
Holder = TypeVar("Holder")

Method = Callable[[Holder, RequestBody, "Call"], Awaitable[Result]]


class Handler(NamedTuple):
    """A verb and the bound method that answers it."""

    verb: Verb[..., Any, Any]
    answer: Callable[[Any, "Call"], Awaitable[Any]]


def handles(
    verb: Verb[..., RequestBody, Result],
) -> Callable[[Method[Holder, RequestBody, Result]], Method[Holder, RequestBody, Result]]:
    """Mark a method as the handler of ``verb``. The type checker holds its signature to the
    catalogue's."""

    def mark(
        method: Method[Holder, RequestBody, Result],
    ) -> Method[Holder, RequestBody, Result]:
        method.__banger_verb__ = verb  # type: ignore[attr-defined]
        return method

    return mark


class Call:
    """What a handler knows of the request it serves."""

    def __init__(self, link: Link, request: Envelope) -> None:
        self._link = link
        self._request = request
        self.on_progress: Callable[[str, str], None] | None = None
        """Somebody else who wants to hear of progress: the operation this call is."""

    @property
    def request_id(self) -> str:
        """Hexadecimal; the id of the operation, and what logs are searched for."""
        return self._request.request_id.hex()

    @property
    def deadline(self) -> float:
        """CLOCK_MONOTONIC seconds."""
        return self._request.deadline

    def progress(self, stage: str, message: str, fraction: float | None = None) -> None:
        """Tell the caller how far it is. Lost when the broker is away: progress is a courtesy."""
        if self.on_progress:
            self.on_progress(stage, message)
        header = Envelope(Kind.PARTIAL, self._request.request_id)
        body = {"stage": stage, "message": message, "fraction": fraction}
        try:
            self._link.send(header, msgspec.msgpack.encode(body))
        except BangerError:
            return


def handled_verbs(kind: type[Any]) -> Iterator[tuple[str, Verb[..., Any, Any]]]:
    """The marked methods of a class and its bases: their names and verbs."""
    for base in kind.__mro__:
        for name, member in vars(base).items():
            verb = getattr(member, "__banger_verb__", None)
            if verb is not None:
                yield name, verb


def collect_handlers(holder: object) -> dict[str, Handler]:
    """The marked methods of an object, bound, by the name of their verb."""
    return {
        verb.name: Handler(verb, getattr(holder, name))
        for name, verb in handled_verbs(type(holder))
    }


def decode_request(body: bytes, kind: type[T]) -> T:
    """Validate a body; everything that can go wrong with foreign bytes is ``bad_message``."""
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except Exception as error:  # ValidationError, DecodeError, RecursionError, UnicodeError ...
        raise BangerError(Code.BAD_MESSAGE, f"bad request: {error}") from error


def encode_result(result: Any) -> bytes:
    """The body of a final that carries ``result``; None is an empty one."""
    return msgspec.msgpack.encode({"ok": True, "result": {} if result is None else result})
