"""A supervisor started ahead, waiting on its stdin for the VM it will be given.

Interpreter and imports take longer than everything else between a command and its VMM (decision
0004); a spare has them behind it. It ends with its pipe, so it cannot outlive the api.
"""

import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.host.process import ProcessId, Watch, spawn_detached, start_time
from shared.host.programs import child_argv

Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Runs a coroutine in the background."""


@dataclass(frozen=True)
class _Waiting:
    process: ProcessId
    pipe: int


class Spare:
    """At most one waiting supervisor. ``errors``: where supervisors' stderr goes."""

    def __init__(self, errors: Path, spawn: Spawn) -> None:
        self.errors = errors
        self._spawn = spawn
        self._waiting: _Waiting | None = None
        self._closed = False

    def prepare(self) -> None:
        """Have one waiting; one that has died meanwhile is replaced."""
        if self._closed:
            return
        if self._waiting and start_time(self._waiting.process.pid) is None:
            os.close(self._waiting.pipe)
            self._spawn(_reap(Watch(self._waiting.process)))
            self._waiting = None
        if self._waiting is None:
            self._waiting = self._start()

    def assign(self, content: bytes) -> Watch | None:
        """Send the waiting supervisor its VM, or a new one when none waits or it has died.

        Returns None when the new one has died too.
        """
        waiting, self._waiting = self._waiting, None
        return (waiting and self._send_spec(waiting, content)) or self._send_spec(
            self._start(), content
        )

    def _send_spec(self, waiting: _Waiting, content: bytes) -> Watch | None:
        """A child that has ended and is not reaped yet can be watched like one that lives: only the
        pipe tells them apart."""
        watch = Watch(waiting.process)
        try:
            os.write(waiting.pipe, content)  # far below the pipe's 64 KiB: never blocks
        except BrokenPipeError:
            self._spawn(_reap(watch))
            return None
        finally:
            os.close(waiting.pipe)
        return watch

    def _start(self) -> _Waiting:
        read, write = os.pipe2(os.O_CLOEXEC)
        argv = child_argv("services.vm_supervisor")
        try:
            process = spawn_detached(argv, self.errors, stdin=read)
        finally:
            os.close(read)
        return _Waiting(process, write)

    def close(self) -> None:
        """The end of its pipe is the end of the one that waits."""
        self._closed = True
        if self._waiting:
            os.close(self._waiting.pipe)


async def _reap(watch: Watch) -> None:
    """Reap a child that has ended."""
    await watch.ended()
    watch.close()
