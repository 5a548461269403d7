"""The one error tree: what a verb may answer and what the CLI exits with.

An error says what happened, to what, and (``hint``) what to do next. The codes are a closed set,
because scripts match on them; docs/protocol.md lists them with their exit statuses.
"""

from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """Why a verb failed. The value is what goes on the wire and into JSON output."""

    USAGE = "usage"  # the command line or a value in it is wrong
    INVALID = "invalid"  # a message or a file has a value that cannot be accepted
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"  # a prefix matches several
    CONFLICT = "conflict"  # exists already, or the wrong state for this verb
    NOT_RUNNING = "not_running"
    UNAVAILABLE = "unavailable"  # a service, or what it depends on, is not there
    BUSY = "busy"  # queue full or a lock is held
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    BAD_MESSAGE = "bad_message"
    TOO_LARGE = "too_large"
    DENIED = "denied"  # owner, mode or privilege is wrong
    NO_SPACE = "no_space"
    MISSING_TOOL = "missing_tool"
    INCOMPATIBLE = "incompatible"  # versions of two parts do not fit
    GUEST_FAILED = "guest_failed"  # the guest panicked, or its agent never came
    INTERNAL = "internal"  # a bug of ours; the log has the traceback


EXIT_STATUS: dict[Code, int] = {
    Code.USAGE: 2,
    Code.INVALID: 2,
    Code.NOT_FOUND: 3,
    Code.AMBIGUOUS: 3,
    Code.CONFLICT: 4,
    Code.NOT_RUNNING: 5,
    Code.UNAVAILABLE: 6,
    Code.BUSY: 6,
    Code.TIMEOUT: 7,
}
"""Exit status of the CLI by code; every code not named here exits with 1."""


class BangerError(Exception):
    """A failure with a stable code, fit to be shown to a person as one line.

    ``message`` says what happened and to what; ``hint`` what to do next; ``details`` holds
    values for programs (only what MessagePack can carry).
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
        """For stderr: one line, and one more with what to do next where it is known."""
        hint = f"hint: {self.hint}\n" if self.hint else ""
        return f"error: {self.message}\n{hint}"

    def to_line(self) -> str:
        """Both in one line, for where there is room for no more."""
        return "; ".join(filter(None, (self.message, self.hint)))

    @classmethod
    def from_wire(cls, body: dict[str, Any]) -> "BangerError":
        """Read what ``to_wire`` wrote. A code of a newer program is taken as ``internal``."""
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
