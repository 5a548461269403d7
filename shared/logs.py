"""Logs of the services: JSON lines, one file per service.

Every line has time (RFC 3339, UTC), level, service, pid and message; request and vm where they
are known; and other fields as given. ``banger daemon logs --request ID`` prints the lines of one
request from all files.
"""

import contextlib
import contextvars
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROTATE_BYTES = 10 * 1024 * 1024
"""A log file that has this size before a write is renamed to ``.1``, and a new one is begun."""

_context: contextvars.ContextVar[dict[str, str]] = contextvars.ContextVar("log_context", default={})  # noqa: B039


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Add ``fields`` to every line that this task, and tasks it starts, log inside."""
    token = _context.set(_context.get() | fields)
    try:
        yield
    finally:
        _context.reset(token)


class Log:
    """The log file of one service. Each line is one write to a file that is open for append.

    No method raises OSError: a full disk must not end the service that logs.
    """

    def __init__(self, path: Path, service: str, *, level: str = "info") -> None:
        self.path = path
        self._service = service
        self._debug = level == "debug"
        self._torn = False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fd = self._open()

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def debug(self, message: str, **fields: Any) -> None:
        if self._debug:
            self._write("debug", message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._write("info", message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._write("warning", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self._write("error", message, fields)

    def exception(self, message: str, **fields: Any) -> None:
        """Like ``error``, with the traceback of the exception being handled."""
        self._write("error", message, fields | {"traceback": traceback.format_exc()})

    def _write(self, level: str, message: str, fields: dict[str, Any]) -> None:
        line = {
            "time": now_rfc3339(),
            "level": level,
            "service": self._service,
            "pid": os.getpid(),
            "message": message,
        }
        text = json.dumps(line | _context.get() | fields, default=str) + "\n"
        try:
            self._rotate()
            self._append(text.encode())
        except OSError as error:
            _complain(f"banger: cannot write {self.path}: {error}\n{text}")

    def _append(self, line: bytes) -> None:
        """A full disk may take a part of a line: the next one then begins with a line break."""
        begun, self._torn = self._torn, False
        whole = b"\n" + line if begun else line
        self._torn = os.write(self._fd, whole) < len(whole)

    def _rotate(self) -> None:
        if os.fstat(self._fd).st_size < ROTATE_BYTES:
            return
        self.path.rename(self.path.with_suffix(".log.1"))
        full, self._fd = (
            self._fd,
            self._open(),
        )  # close it last: its number would be reused by another file
        os.close(full)

    def close(self) -> None:
        os.close(self._fd)


def _complain(text: str) -> None:
    """On stderr, which is a file on the same disk: what cannot be written there either is lost."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def now_rfc3339() -> str:
    """The current time in UTC, with milliseconds."""
    now = time.time()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{seconds}.{int(now % 1 * 1000):03d}Z"
