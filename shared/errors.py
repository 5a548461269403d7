"""The one error tree: the codes of failed requests, and the exit statuses of the CLI.

An error says what happened, to what, and (``hint``) what to do next. The codes are a closed set,
because scripts match on them. docs/protocol.md lists them with their exit statuses.
"""

from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """Why a request failed. The value goes on the wire and into JSON output."""

    USAGE = "usage"  # the command line or a value in it is wrong
    INVALID = "invalid"  # a message or a file has a value that cannot be accepted
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"  # a prefix matches several
    CONFLICT = "conflict"  # it exists already, or its state does not allow this
    NOT_RUNNING = "not_running"
    UNAVAILABLE = "unavailable"  # a service cannot be reached: it may be back in a moment
    UNREACHABLE = "unreachable"  # a registry or mirror does not deliver, after all attempts
    BUSY = "busy"  # a queue is full, or a lock is held
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    BAD_MESSAGE = "bad_message"
    TOO_LARGE = "too_large"
    DENIED = "denied"  # owner, mode or privilege is wrong
    NO_SPACE = "no_space"
    MISSING_TOOL = "missing_tool"
    INCOMPATIBLE = "incompatible"  # two parts have versions that do not work together
    LOST = "lost"  # the VM or the connection ended under a command in the guest
    GUEST_FAILED = "guest_failed"  # the guest panicked, or its agent never came
    INTERNAL = "internal"  # a bug in banger; the log has the traceback


EXIT_STATUS: dict[Code, int] = {
    Code.USAGE: 2,
    Code.INVALID: 2,
    Code.NOT_FOUND: 3,
    Code.AMBIGUOUS: 3,
    Code.CONFLICT: 4,
    Code.NOT_RUNNING: 5,
    Code.UNAVAILABLE: 6,
    Code.UNREACHABLE: 6,
    Code.BUSY: 6,
    Code.TIMEOUT: 7,
    Code.LOST: 125,
}
"""Exit status of the CLI by code. Codes that are not listed exit with 1."""


STOPPED = "stopped"
"""In the details of ``unavailable``: the service that was stopped while it was at work on the
request. It may be about to come back, and what it did may go on without it."""


class BangerError(Exception):
    """A failure with a stable code, which is shown to a person as one line.

    ``message`` says what happened and to what, ``hint`` what to do next. ``details`` holds values
    for programs: only types that MessagePack has.
    """

    def __init__(
        self, code: Code, message: str, *, hint: str = "", details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details = details or {}

    @property
    def exit_status(self) -> int:
        return EXIT_STATUS.get(self.code, 1)

    def to_wire(self) -> dict[str, Any]:
        """The body of a failed final: {code, message, hint, details}."""
        return {
            "code": self.code.value,
            "message": self.message,
            "hint": self.hint,
            "details": self.details,
        }

    def to_text(self) -> str:
        """For stderr: the message on one line, and the hint, if there is one, on another."""
        hint = f"hint: {self.hint}\n" if self.hint else ""
        return f"error: {self.message}\n{hint}"

    def to_line(self) -> str:
        """Message and hint on one line."""
        return "; ".join(filter(None, (self.message, self.hint)))

    @classmethod
    def from_wire(cls, body: dict[str, Any]) -> "BangerError":
        """The error that ``to_wire`` wrote. A code of a newer program becomes ``internal``."""
        try:
            code = Code(body.get("code", ""))
        except ValueError:
            code = Code.INTERNAL
        details = body.get("details")
        return cls(
            code,
            str(body.get("message", "unknown error")),
            hint=str(body.get("hint", "")),
            details=details if isinstance(details, dict) else {},
        )
