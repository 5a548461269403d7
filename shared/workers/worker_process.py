"""One worker as the service sees it: started, listened to, and ended whatever happens."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from shared.errors import BangerError, Code
from shared.workers.worker import GRACE_SECONDS

LONGEST_LINE = 16 << 20
"""Bytes of a worker's line. An answer has to fit into a message of the bus, which is smaller."""
KEPT_LINES = 60
"""How many of the last lines of a worker's stderr are kept to say why it failed."""
END_SECONDS = 5.0
"""For a worker that has said its last line, or has closed its output, to end by itself."""
LONGEST_ERROR = 4096
"""Bytes that are kept of such a line."""
STDERR_SECONDS = 1.0
"""For the end of stderr when the worker and its children have ended."""

OnProgress = Callable[[str, str], None]


class WorkerLine(msgspec.Struct):
    """A line of a worker's output: one of the three is there."""

    progress: tuple[str, str] | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: dict[str, object] | None = None

    @property
    def is_final(self) -> bool:
        return self.error is not None or bool(bytes(self.result))


@dataclass
class WorkerEnd:
    """How a worker ended: ``status`` as subprocess has it, and what it last said."""

    last: WorkerLine | None = None
    status: int = 0
    stderr: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))

    def result(self) -> msgspec.Raw:
        """What the job returned, as JSON.

        Raises:
            BangerError: the job's own; ``internal`` for a worker that ended without an outcome.
        """
        if self.last is None:
            how = f"was killed by signal {-self.status}" if self.status < 0 else "ended"
            raise BangerError(Code.INTERNAL, f"the process of the job {how} before it was done")
        if self.last.error is not None:
            raise BangerError.from_wire(self.last.error)
        return self.last.result


async def run_worker(worker: "WorkerProcess", job: bytes, progress: OnProgress) -> WorkerEnd:
    """Run a worker to its end; it and all that it has started are gone when this returns.

    ``job`` is the line that it reads. A caller that is cancelled gets the end as well, which may be
    a result that came all the same.
    """
    worker.give(job)
    listening = asyncio.create_task(worker.listen(progress))
    while not listening.done():
        try:
            await asyncio.shield(listening)
        except asyncio.CancelledError:
            worker.cancel()
    return listening.result()


class WorkerProcess:
    """A worker waits for its job. It has a session of its own: its children can be killed with
    it."""

    def __init__(self, process: asyncio.subprocess.Process, stderr: int) -> None:
        self._process = process
        self._stderr = stderr
        self._killing: asyncio.TimerHandle | None = None

    @classmethod
    async def start(cls, argv: Sequence[str]) -> "WorkerProcess":
        reader, writer = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=writer,
                start_new_session=True,
                limit=LONGEST_LINE,
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return cls(process, reader)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    def give(self, job: bytes) -> None:
        """Send the job. The pipe stays open: its end would be this process's."""
        assert self._process.stdin
        self._process.stdin.write(job + b"\n")

    async def dismiss(self) -> None:
        """End a worker that has got no job."""
        assert self._process.stdin
        self._process.stdin.close()
        await self.listen(lambda *_: None)

    def cancel(self) -> None:
        """Ask the worker to undo what it has done, and kill it when it does not in time."""
        if self._killing is None:
            self._signal(os.kill, signal.SIGTERM)
            loop = asyncio.get_running_loop()
            self._killing = loop.call_later(GRACE_SECONDS, self._kill_all)

    async def listen(self, progress: OnProgress) -> WorkerEnd:
        """Pass on what the worker says until it has ended."""
        end = WorkerEnd()
        errors = asyncio.create_task(self._read_errors(end.stderr))
        try:
            end.last = await self._read_lines(progress)
        finally:
            ended = asyncio.ensure_future(self._process.wait())
            await asyncio.wait([ended], timeout=END_SECONDS)
            self._kill_all()
            end.status = await ended
            await asyncio.wait([errors], timeout=STDERR_SECONDS)
            errors.cancel()
            if self._killing:
                self._killing.cancel()
        return end

    async def _read_lines(self, progress: OnProgress) -> WorkerLine | None:
        assert self._process.stdout
        with contextlib.suppress(ValueError, msgspec.MsgspecError):  # too long, or no such line
            async for raw in self._process.stdout:
                line = msgspec.json.decode(raw, type=WorkerLine)
                if line.is_final:
                    return line
                if line.progress:
                    progress(*line.progress)
        return None

    async def _read_errors(self, lines: deque[str]) -> None:
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(stream)
        pipe = os.fdopen(self._stderr, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(lambda: protocol, pipe)
        rest = b""
        try:
            while chunk := await stream.read(1 << 16):
                *whole, rest = (rest + chunk).split(b"\n")
                lines.extend(line[:LONGEST_ERROR].decode(errors="replace") for line in whole)
                rest = rest[:LONGEST_ERROR]
        finally:
            if rest:
                lines.append(rest.decode(errors="replace"))
            transport.close()

    def _kill_all(self) -> None:
        self._signal(os.killpg, signal.SIGKILL)

    def _signal(self, send: Callable[[int, int], None], number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            send(self._process.pid, number)
