"""The header of a message, without any socket: docs/protocol.md section 2.

Pure and small on purpose: the broker does this for every message and reads nothing else.
"""

import os
from contextvars import ContextVar
from enum import IntEnum
from typing import Any, NamedTuple

import msgpack

from shared.errors import BangerError, Code

PROTOCOL = 1
MAGIC = b"bngr" + bytes([PROTOCOL])
MAX_MESSAGE = 4 * 1024 * 1024
"""Header and body together, in bytes."""
MAX_NAME = 64
"""Longest service or verb name, in bytes."""
REQUEST_ID_SIZE = 16
FURTHEST_DEADLINE = 24 * 3600.0
"""How far ahead a deadline may lie, in seconds: tables of the broker expire by it."""


class Kind(IntEnum):
    READY = 1
    REQUEST = 2
    PARTIAL = 3
    FINAL = 4
    EVENT = 5
    PING = 6
    CANCEL = 7


# A dataclass takes 1 ms to be made, in every command.
class Envelope(NamedTuple):
    """One header. ``deadline`` is CLOCK_MONOTONIC seconds, 0.0 where the kind has none.

    ``cause`` is the id of the request that a person made, where this one was made for it.
    """

    kind: Kind
    request_id: bytes
    service: str = ""
    verb: str = ""
    deadline: float = 0.0
    cause: bytes = b""

    @property
    def origin(self) -> bytes:
        """The id that logs are searched for: the cause's, or its own."""
        return self.cause or self.request_id


current_cause: ContextVar[bytes] = ContextVar("current_cause", default=b"")
"""The origin of the request being served: calls made meanwhile carry it on."""


def new_request_id() -> bytes:
    return os.urandom(REQUEST_ID_SIZE)  # secrets would import hashlib and hmac into every command


def encode(envelope: Envelope) -> bytes:
    packed: bytes = msgpack.packb(
        (
            int(envelope.kind),
            envelope.request_id,
            envelope.service,
            envelope.verb,
            envelope.deadline,
            envelope.cause,
        )
    )
    return MAGIC + packed


def check_size(header: bytes, body: bytes) -> None:
    """Raise ``too_large`` for a message over the limit: ZeroMQ would drop the connection."""
    size = len(header) + len(body)
    if size > MAX_MESSAGE:
        raise BangerError(
            Code.TOO_LARGE, f"a message of {size} bytes is over the limit of {MAX_MESSAGE}"
        )


def decode(header: bytes) -> Envelope:
    """Read a header.

    Raises:
        BangerError: ``incompatible`` for another protocol version, ``bad_message`` for anything
            that is not a well-formed header.
    """
    if header[:4] != MAGIC[:4]:
        raise BangerError(Code.BAD_MESSAGE, "not a banger message: wrong magic")
    if header[4:5] != MAGIC[4:]:
        theirs = header[4] if len(header) > 4 else 0
        raise BangerError(
            Code.INCOMPATIBLE,
            f"the peer speaks protocol {theirs}, this is protocol {PROTOCOL}",
            hint="restart the services: banger daemon restart",
        )
    try:
        fields = msgpack.unpackb(header[5:], use_list=False, strict_map_key=True)
    except Exception as error:  # the decoder's failures are a family of their own; all mean this
        raise BangerError(Code.BAD_MESSAGE, f"undecodable header: {error}") from error
    return _checked(fields)


def _checked(fields: Any) -> Envelope:
    if not isinstance(fields, tuple) or len(fields) < 5:
        raise BangerError(Code.BAD_MESSAGE, "the header has fewer than five fields")
    kind, request_id, service, verb, deadline = fields[:5]
    cause = fields[5] if len(fields) > 5 else b""
    if type(cause) is not bytes or len(cause) not in (0, REQUEST_ID_SIZE):
        raise BangerError(Code.BAD_MESSAGE, "the cause is not a request id")
    if type(request_id) is not bytes or len(request_id) != REQUEST_ID_SIZE:
        raise BangerError(Code.BAD_MESSAGE, "the request id is not 16 bytes")
    if type(service) is not str or type(verb) is not str:
        raise BangerError(Code.BAD_MESSAGE, "service and verb are not strings")
    if len(service.encode()) > MAX_NAME or len(verb.encode()) > MAX_NAME:
        raise BangerError(Code.BAD_MESSAGE, f"a name is longer than {MAX_NAME} bytes")
    if type(deadline) is not float or deadline != deadline:
        raise BangerError(Code.BAD_MESSAGE, "the deadline is not a number of seconds")
    if type(kind) is not int or not Kind.READY <= kind <= Kind.CANCEL:
        raise BangerError(Code.BAD_MESSAGE, f"unknown kind {kind!r:.20}")
    return Envelope(Kind(kind), request_id, service, verb, deadline, cause)


def final_ok(result: Any) -> bytes:
    """Body of a final that succeeded. ``result``: what MessagePack can carry."""
    packed: bytes = msgpack.packb({"ok": True, "result": result})
    return packed


def final_error(error: BangerError) -> bytes:
    """Body of a final that failed; a file name in it that is no UTF-8 does not stop it."""
    packed: bytes = msgpack.packb(
        {"ok": False, "error": error.to_wire()}, default=str, unicode_errors="replace"
    )
    return packed


def read_final(body: bytes, as_map: type[dict[str, Any]] = dict) -> dict[str, Any]:
    """The result in a final's body; every map in it is an ``as_map``.

    Raises:
        BangerError: the error that the final carries, or ``bad_message``.
    """
    final = decode_body(body, as_map)
    if final.get("ok") is True and isinstance(final.get("result"), dict):
        result: dict[str, Any] = final["result"]
        return result
    error = final.get("error")
    if not isinstance(error, dict):
        raise BangerError(Code.BAD_MESSAGE, "a final without result or error")
    raise BangerError.from_wire(error)


def decode_body(body: bytes, as_map: type[dict[str, Any]] = dict) -> dict[str, Any]:
    """One MessagePack map; it and every map in it is an ``as_map``.

    Raises:
        BangerError: ``bad_message`` for anything else (RecursionError included).
    """
    try:
        decoded = msgpack.unpackb(body, object_hook=None if as_map is dict else as_map)
    except Exception as error:
        raise BangerError(Code.BAD_MESSAGE, f"undecodable body: {error}") from error
    if not isinstance(decoded, dict):
        raise BangerError(Code.BAD_MESSAGE, "the body is not a map")
    return decoded
