"""What a verb is: its mark on a handler, what the handler knows of its call, bodies in and out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from shared.bus.envelope import Envelope, Kind
from shared.bus.link import Link
from shared.errors import BangerError, Code

T = TypeVar("T")

Handler = Callable[[Any, Any, "Call"], Awaitable[Any]]


@dataclass(frozen=True)
class Verb:
    """A handler and what it is asked with."""

    name: str
    request: type[Any]
    handler: Handler


def verb(name: str, request: type[Any]) -> Callable[[Handler], Handler]:
    """Mark a method as the handler of ``name``; its body is validated as ``request``."""

    def mark(handler: Handler) -> Handler:
        handler.__banger_verb__ = Verb(name, request, handler)  # type: ignore[attr-defined]
        return handler

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


def collect_verbs(kind: type[Any]) -> dict[str, Verb]:
    """The marked methods of a class and its bases, by verb."""
    members = (member for base in kind.__mro__ for member in vars(base).values())
    marked = (getattr(member, "__banger_verb__", None) for member in members)
    return {entry.name: entry for entry in marked if entry is not None}


def decode_request(body: bytes, kind: type[T]) -> T:
    """Validate a body; everything that can go wrong with foreign bytes is ``bad_message``."""
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except Exception as error:  # ValidationError, DecodeError, RecursionError, UnicodeError ...
        raise BangerError(Code.BAD_MESSAGE, f"bad request: {error}") from error


def encode_result(result: Any) -> bytes:
    """The body of a final that carries ``result``; None is an empty one."""
    return msgspec.msgpack.encode({"ok": True, "result": {} if result is None else result})
