"""Work that several callers ask for at once is done once, and all of them get the result."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

ReportProgress = Callable[[str, str, float | None], None]
"""Called with (stage, message, fraction of the whole or None)."""
Work = Callable[[ReportProgress], Awaitable[T]]


@dataclass
class _Run(Generic[T]):
    """Work under way, and the callers that wait for it."""

    listeners: list[ReportProgress] = field(default_factory=list)
    latest: tuple[str, str, float | None] | None = None
    task: asyncio.Task[T] = field(init=False)

    def report(self, stage: str, message: str, fraction: float | None) -> None:
        self.latest = (stage, message, fraction)
        for listener in list(self.listeners):
            listener(stage, message, fraction)


class SingleFlight(Generic[T]):
    """Runs work by key, each key once at a time. Belongs to one event loop."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run[T]] = {}

    @property
    def running(self) -> list[str]:
        """Keys of the work under way."""
        return sorted(self._runs)

    async def run(self, key: str, work: Work[T], progress: ReportProgress) -> T:
        """The result of ``work``, or of the work of the same ``key`` that is under way already.

        A caller that joins late first gets the latest progress. When a caller is cancelled, the
        work goes on for the others. When the last one is cancelled, so is the work, and the
        cancellation goes on only after the work has cleaned up.

        Raises:
            whatever the work raises, in every caller.
        """
        run = self._runs.get(key) or self._start(key, work)
        if run.latest:
            progress(*run.latest)
        run.listeners.append(progress)
        try:
            return await asyncio.shield(run.task)
        finally:
            run.listeners.remove(progress)
            if not run.listeners and not run.task.done():
                await self._abandon(key, run)

    def _start(self, key: str, work: Work[T]) -> _Run[T]:
        started: _Run[T] = _Run()
        self._runs[key] = started

        async def run() -> T:
            try:
                return await work(started.report)
            finally:
                self._finish(key, started)

        started.task = asyncio.create_task(run(), name=key)
        return started

    def _finish(self, key: str, run: _Run[T]) -> None:
        if self._runs.get(key) is run:
            del self._runs[key]

    async def _abandon(self, key: str, run: _Run[T]) -> None:
        self._finish(key, run)  # no caller may join work that is about to be cancelled
        run.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await run.task
