"""The answers of the guest's agent, checked where they enter. Pure.

The guest is not trusted: whatever is wrong with an answer is ``guest_failed``. Names are those of
the QEMU Guest Agent Protocol Reference.
"""

import json
from typing import Annotated, TypeVar

import msgspec

from shared.errors import BangerError, Code
from shared.plain_text import printable

T = TypeVar("T")
WORDS_MAX = 200
"""Characters kept of what a guest says in one place: a refusal, a line of its console."""

_Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 47)]
"""Bounded, so that sums stay within 64 bits."""
GuestTime = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
"""``guest-get-time``: nanoseconds since the epoch."""
_ExitStatus = Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 32)]
_Signal = Annotated[int, msgspec.Meta(ge=0, le=64)]


class _Error(msgspec.Struct):
    desc: str = ""


class _Answer(msgspec.Struct):
    """One of the two. ``result`` is decoded as the command's own type."""

    result: msgspec.Raw = msgspec.field(name="return", default_factory=msgspec.Raw)
    error: _Error | None = None


class ExecStarted(msgspec.Struct):
    """``guest-exec``."""

    pid: _Number


class ExecStatus(msgspec.Struct, rename="kebab"):
    """``guest-exec-status``."""

    exited: bool
    exitcode: _ExitStatus | None = None
    signal: _Signal | None = None
    out_data: bytes = b""
    err_data: bytes = b""


class Piece(msgspec.Struct):
    """``guest-file-read``."""

    eof: bool
    content: bytes = msgspec.field(name="buf-b64", default=b"")


class _Counters(msgspec.Struct, rename="kebab"):
    rx_bytes: _Number
    tx_bytes: _Number


class GuestInterface(msgspec.Struct):
    """One of ``guest-network-get-interfaces``."""

    name: str
    statistics: _Counters | None = None


def is_sync_reply(line: bytes, sync_id: int) -> bool:
    """Whether ``line`` is the delimited answer that carries ``sync_id``."""
    _, delimiter, tail = line.rpartition(b"\xff")
    try:
        return bool(delimiter) and json.loads(tail) == {"return": sync_id}
    except (ValueError, RecursionError):
        return False


def decode_answer(command: str, line: bytes, kind: type[T]) -> T:
    """The answer to ``command`` in ``line``, as a ``kind``.

    Raises:
        BangerError: ``guest_failed`` for anything else; ``not_found`` for a refusal that means it.
    """
    try:
        answer = msgspec.json.decode(line, type=_Answer)
        if answer.error is None:
            return msgspec.json.decode(answer.result, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BangerError(
            Code.GUEST_FAILED,
            f"the guest agent sent an invalid answer to {command}: "
            f"{printable(str(error), WORDS_MAX)}",
        ) from error
    raise _refused(command, printable(answer.error.desc, WORDS_MAX))


def _refused(command: str, words: str) -> BangerError:
    missing = "No such file" in words or "Failed to execute" in words
    code = Code.NOT_FOUND if missing else Code.GUEST_FAILED
    return BangerError(code, f"the guest agent refused {command}: {words}")
