"""git as a child process: a cleaned environment, bytes in and out, and its failures as errors.

Nothing of the environment steers git (every ``GIT_*`` variable is taken out), git never asks for a
password, takes no optional lock, and speaks English, because some of its sentences are read here.
"""

import os
import select
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shared.errors import BangerError, Code
from shared.plain_text import printable

MOST_ERROR_TEXT = 2000
"""Characters of git's standard error that an error of ours repeats."""
MOST_STDERR = 1 << 16
LIMIT_SECONDS = 600.0
"""After this git is ended: it may wait for ever on a FIFO that a repository named .gitignore."""

Stdin = bytes | int
"""What git reads: bytes, or the descriptor of a file."""


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process without what steers git or its language, and ``more``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "LC_")) and name not in ("LANG", "LANGUAGE")
    }
    ours = {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_PAGER": "cat",
        "GIT_EDITOR": ":",
    }
    return kept | ours | dict(more or {})


def git_program() -> str:
    """The path of git. Raises ``missing_tool``."""
    program = shutil.which("git")
    if program is None:
        raise BangerError(
            Code.MISSING_TOOL, "git is not installed on this host", hint="apt install git"
        )
    return program


@dataclass(frozen=True)
class GitResult:
    """How one git ended."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """Standard error as one printable line, without git's own "fatal: "."""
        text = self.stderr.decode(errors="replace").strip()
        return printable(text.removeprefix("fatal: ").removeprefix("error: "), MOST_ERROR_TEXT)


class GitProcess:
    """git in one directory with one environment."""

    def __init__(self, cwd: Path, environment: Mapping[str, str]) -> None:
        self.cwd = cwd
        self.environment = environment

    def attempt(
        self,
        *arguments: str | bytes,
        stdin: Stdin = b"",
        environment: Mapping[str, str] | None = None,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> GitResult:
        """Run git to its end, whatever its status. Raises ``timeout``.

        Its output goes into memory files: several times as fast as pipes for a long listing.
        """
        given = stdin if isinstance(stdin, bytes) else b""
        with memory_file() as stdout, memory_file() as stderr, memory_file(given) as source:
            process = self.start(
                *arguments,
                stdin=source.fileno() if isinstance(stdin, bytes) else stdin,
                stdout=stdout.fileno(),
                stderr=stderr.fileno(),
                environment=environment,
            )
            if not _ends(process, limit_seconds):
                raise BangerError(
                    Code.TIMEOUT,
                    f"git {_subcommand(arguments)} did not end in {limit_seconds:g} s "
                    f"in {printable(str(self.cwd))}",
                    hint="look for a FIFO named .gitignore or .gitattributes, or a slow disk",
                )
            stdout.seek(0)
            stderr.seek(0)
            return GitResult(process.returncode, stdout.read(), stderr.read(MOST_STDERR))

    def run(
        self,
        *arguments: str | bytes,
        stdin: Stdin = b"",
        environment: Mapping[str, str] | None = None,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> bytes:
        """Standard output of a git that has to succeed. Raises what ``git_error`` makes of it."""
        result = self.attempt(
            *arguments, stdin=stdin, environment=environment, limit_seconds=limit_seconds
        )
        if result.status:
            raise git_error(result, _subcommand(arguments), self.cwd)
        return result.stdout

    def start(
        self,
        *arguments: str | bytes,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> "subprocess.Popen[bytes]":
        """A git that streams. The caller reads, waits, and turns its end into an error."""
        return subprocess.Popen(
            [git_program(), *arguments],
            cwd=self.cwd,
            env={**self.environment, **(environment or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
        )


def git_error(result: GitResult, what: str, where: Path) -> BangerError:
    """What a failed git means for the user: missing objects, a full disk, or its own words."""
    text = result.complaint
    place = printable(str(where))
    if b"No space left on device" in result.stderr or b"Disk quota exceeded" in result.stderr:
        return BangerError(Code.NO_SPACE, f"the disk of this host is full: {text}")
    if b"unable to read" in result.stderr or b"missing" in result.stderr:
        return BangerError(
            Code.INVALID,
            f"the repository {place} lacks objects that are needed: {text}",
            hint="in a partial clone, 'git fetch --refetch --no-filter' brings them all",
        )
    if result.status < 0:
        return BangerError(Code.INTERNAL, f"git {what} was ended by signal {-result.status}")
    return BangerError(
        Code.INVALID, f"git {what} failed in {place}: {text or f'status {result.status}'}"
    )


def memory_file(content: bytes = b"") -> BinaryIO:
    """A file without a name, at the start of its content: for input that no pipe has room for."""
    made = os.fdopen(os.memfd_create("git"), "w+b", buffering=0)
    made.write(content)
    made.seek(0)
    return made


def _ends(process: "subprocess.Popen[bytes]", limit_seconds: float) -> bool:
    """Wait for git; kill it at the end of its time, or of the patience of this process."""
    pidfd = os.pidfd_open(process.pid)
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(limit_seconds * 1000))
    finally:
        os.close(pidfd)
        if process.poll() is None:
            process.kill()
        process.wait()


def _subcommand(arguments: Sequence[str | bytes]) -> str:
    words = [word for word in map(os.fsdecode, arguments) if not word.startswith("-")]
    return printable(words[0] if words else "", 40)
