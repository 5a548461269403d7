"""Commands in a guest as files: what they read and what they say, with limits on both.

They go over the shared connection (``shared/ssh``). A command ends with its session: when the
worker is ended, the guest's sshd closes the pipes, and what init has put into the guest ends it.
"""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, cast

from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.ssh.guest_end import GuestEnd

IDLE_SECONDS = 600.0
"""How long a guest may be at work without a byte either way: git writes a large tree in silence."""
ANSWER_LIMIT = 1 << 20
"""Bytes that a script may answer."""


class GuestSession:
    """``argv`` in the guest, as root. A context manager: the command ends with it.

    ``stdin`` takes bytes and raises BrokenPipeError when the command reads no more; closing it
    tells the command that nothing follows. ``stdout`` gives what the command says.

    Raises:
        BangerError: ``unavailable`` when ssh starts nothing in the guest, ``timeout`` for a guest
            that is mute, ``lost`` when the connection ends under the command.
    """

    def __init__(
        self, access: Access, argv: Sequence[str], *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._end = GuestEnd(access, argv, idle_seconds=idle_seconds)
        self.stdin: IO[bytes] = cast(IO[bytes], _Input(self._end))
        self.stdout: IO[bytes] = io.BufferedReader(cast(io.RawIOBase, _Output(self._end)), 1 << 16)

    def __enter__(self) -> "GuestSession":
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._end.__exit__(type_, error, trace)

    def line(self, limit: int = 4096) -> bytes:
        """The next line of ``stdout`` without its end; empty when it says no more.

        Raises ``guest_failed`` for one that is longer than ``limit``.
        """
        found = self.stdout.readline(limit)
        if len(found) == limit and not found.endswith(b"\n"):
            raise too_much()
        return found.rstrip(b"\n")

    def finish(self) -> int:
        """Close ``stdin``, wait for the end of the command, and return its exit status."""
        self._end.close_input()
        return self._end.finish()

    def complaints(self) -> list[str]:
        """The lines of its stderr, cleaned, of at most 64 KiB. After ``finish``."""
        return self._end.complaints()


@dataclass(frozen=True)
class Output:
    """Of a script that has ended. ``stderr``: its lines, cleaned."""

    status: int
    stdout: bytes
    stderr: list[str]


def script_argv(script: str, args: Sequence[str]) -> list[str]:
    """The command that runs ``script``, POSIX shell, with ``$1``… set to ``args``."""
    return ["sh", "-c", script, "sh", *args]


def run_script(
    access: Access,
    script: str,
    args: Sequence[str] = (),
    *,
    stdin: bytes = b"",
    limit: int = ANSWER_LIMIT,
) -> Output:
    """Run ``script`` in the guest to its end.

    Raises:
        BangerError: as ``GuestSession``, and ``guest_failed`` when it says more than ``limit``
            bytes.
    """
    with GuestSession(access, script_argv(script, args)) as session:
        with suppress(BrokenPipeError):  # its status says why it did not want them
            session.stdin.write(stdin)
        session.stdin.close()
        answer = session.stdout.read(limit + 1)
        if len(answer) > limit:
            raise too_much()
        return Output(session.finish(), answer, session.complaints())


def too_much() -> BangerError:
    """The guest says more than any honest one does."""
    return BangerError(Code.GUEST_FAILED, "the guest's answer is longer than it can be")


class _Input(io.RawIOBase):
    def __init__(self, end: GuestEnd) -> None:
        self._end = end

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        if not self._end.write(bytes(data)):
            raise BrokenPipeError
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._end.close_input()
        super().close()


class _Output(io.RawIOBase):
    def __init__(self, end: GuestEnd) -> None:
        self._end = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._end.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
