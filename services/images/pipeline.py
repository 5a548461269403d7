"""Runs programs joined by pipes: reads their output line by line and ends all of them on any exit.

Every program has a session of its own: a signal for it also reaches what it has started, and a
Ctrl-C at the service does not. Its stderr is read until it ends, also while it is being ended:
mmdebstrap stops in the middle of its own clean-up when its stderr is closed.
"""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.programs import find_program, search_path

KEPT_LINES = 60
"""How many of the last lines of a program's stderr are kept to say why it failed."""

_LINE_LIMIT = 1 << 20
"""Bytes. mmdebstrap prints whole package lists in one line; asyncio's default is 64 KiB."""

_REMINDERS = 10
_BETWEEN_REMINDERS = 2.0
"""SIGTERM is sent this often, with so many seconds between, before SIGKILL. Once is not enough:
mmdebstrap's worker is the init of a pid namespace and ignores it. The worker stops only when the
program that it waits for at that instant ends."""

_SETTLING = 5.0
"""Seconds that the other programs may take to end by themselves after one has failed."""

_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "uidmap",
    "unshare": "util-linux",
    "sqfstar": "squashfs-tools",
    "mksquashfs": "squashfs-tools",
    "depmod": "kmod",
    "lz4": "lz4",
    "zstd": "zstd",
    "xz": "xz-utils",
    "gzip": "gzip",
    "bzip2": "bzip2",
    "tar": "tar",
}
"""The Debian package of each program."""

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """One program of a pipeline. ``environment`` is added to this process's own.

    Locale and search path are always set. ``keep`` are descriptors (of locks) that stay open in
    the program, ``directory`` is its working directory.
    """

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    keep: Sequence[int] = ()
    directory: Path = Path("/")


class ProgramFailed(Exception):
    """A program ended with ``status``, negative for a signal. ``lines``: the last of its stderr."""

    def __init__(self, program: str, status: int, lines: Sequence[str]) -> None:
        super().__init__(f"{program} ended with status {status}")
        self.program = program
        self.status = status
        self.lines = lines


def require(*tools: str) -> None:
    """Raise ``missing_tool``, with a command that installs them, unless all ``tools`` are found."""
    missing = [tool for tool in tools if find_program(tool) is None]
    if missing:
        packages = sorted({_PACKAGES.get(tool, tool) for tool in missing})
        raise BangerError(
            Code.MISSING_TOOL,
            f"{', '.join(missing)}: not installed",
            hint=f"sudo apt install {' '.join(packages)}",
        )


async def run(
    *commands: Program,
    on_line: OnLine = lambda _: None,
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.DEVNULL,
) -> None:
    """Run ``commands`` joined by pipes, from ``stdin`` to ``stdout`` (descriptors).

    ``on_line`` gets every line of their stderr. Also when it is cancelled or one of them fails,
    this returns only when all of them have ended.

    Raises:
        ProgramFailed: for the first of them that failed by itself, not by a broken pipe.
        BangerError: ``missing_tool``.
    """
    require(*(command.argv[0] for command in commands))
    children: list[_Process] = []
    try:
        with _pipes(len(commands), stdin, stdout) as ends:
            for command, (source, sink) in zip(commands, ends, strict=True):
                children.append(await _Process.start(command, source, sink, on_line))
        await asyncio.gather(*(child.finished() for child in children))
    except ProgramFailed:
        await _settle(children)  # how the others end decides which of them is blamed
        raise _culprit(children) from None
    finally:
        await _end_all(children)


class _Process:
    def __init__(self, command: Program, process: asyncio.subprocess.Process) -> None:
        self.program = Path(command.argv[0]).name
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.was_ended = False
        self._process = process
        self._reader: asyncio.Task[None]

    @classmethod
    async def start(cls, command: Program, stdin: int, stdout: int, on_line: OnLine) -> "_Process":
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            stdin=stdin,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(command),
            cwd=command.directory,
            pass_fds=command.keep,
            start_new_session=True,
            limit=_LINE_LIMIT,
        )
        child = cls(command, process)
        child._reader = asyncio.create_task(child._read(on_line))
        return child

    @property
    def status(self) -> int | None:
        return self._process.returncode

    async def finished(self) -> None:
        await asyncio.shield(self._reader)
        status = await self._process.wait()
        if status != 0:
            raise ProgramFailed(self.program, status, list(self.lines))

    async def end(self) -> None:
        """Send SIGTERM to the whole session, then SIGKILL. Returns when its leader is gone."""
        if self._process.returncode is None:
            self.was_ended = True
            for _ in range(_REMINDERS):
                self._signal(signal.SIGTERM)
                if await self._ended_within(_BETWEEN_REMINDERS):
                    break
            else:
                self._signal(signal.SIGKILL)
                await self._process.wait()
        await self._reader

    async def _ended_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _read(self, on_line: OnLine) -> None:
        assert self._process.stderr is not None
        async for raw in self._process.stderr:
            line = raw.decode(errors="replace").rstrip()
            self.lines.append(line)
            on_line(line)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _culprit(children: Sequence[_Process]) -> ProgramFailed:
    """The first program of the pipe that failed for a reason of its own."""
    failed = [child for child in children if child.status and not child.was_ended]
    by_itself = [c for c in failed if not _lost_its_reader(c)] or failed or list(children)
    child = by_itself[0]
    return ProgramFailed(child.program, child.status or 0, list(child.lines))


def _lost_its_reader(child: _Process) -> bool:
    return child.status == -signal.SIGPIPE or any("Broken pipe" in line for line in child.lines)


async def _settle(children: Sequence[_Process]) -> None:
    """Let the others end by themselves: a consumer often fails at once while its producer, which
    knows the reason, still cleans up. Programs that go on are ended."""
    ending = [asyncio.create_task(child.finished()) for child in children]
    await asyncio.wait(ending, timeout=_SETTLING)
    await _end_all(children)
    await asyncio.gather(*ending, return_exceptions=True)


async def _end_all(children: Sequence[_Process]) -> None:
    """End them, also when this is cancelled again: no program may outlive the directory it uses."""
    ending = asyncio.gather(*(child.end() for child in children))
    while not ending.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(ending)


@contextlib.contextmanager
def _pipes(count: int, first: int, last: int) -> Iterator[list[tuple[int, int]]]:
    """(stdin, stdout) of each program. This process's ends of the pipes are closed afterwards."""
    between = [os.pipe() for _ in range(count - 1)]
    sources = [first, *(reader for reader, _ in between)]
    sinks = [*(writer for _, writer in between), last]
    try:
        yield list(zip(sources, sinks, strict=True))
    finally:
        for reader, writer in between:
            os.close(reader)
            os.close(writer)


def _environment(command: Program) -> dict[str, str]:
    fixed = {"LC_ALL": "C.UTF-8", "PATH": search_path(), "DEBIAN_FRONTEND": "noninteractive"}
    return {**os.environ, **fixed, **command.environment}
