"""Work asked for twice at once is done once, and everybody who asked gets the result.

No I/O of its own: what the work is does not matter here.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.images.sources.debian.progress import Progress

T = TypeVar("T")
Work = Callable[[Progress], Awaitable[T]]


@dataclass
class _Flight(Generic[T]):
    """One piece of work under way and those who wait for it."""

    listeners: list[Progress] = field(default_factory=list)
    latest: tuple[str, str, float | None] | None = None
    task: asyncio.Task[T] = field(init=False)

    def tell(self, stage: str, message: str, fraction: float | None) -> None:
        self.latest = (stage, message, fraction)
        for listener in list(self.listeners):
            listener(stage, message, fraction)


class Coalescer(Generic[T]):
    """Runs work by key. Belongs to one event loop."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    @property
    def running(self) -> list[str]:
        """Keys of the work under way."""
        return sorted(self._flights)

    async def run(self, key: str, work: Work[T], progress: Progress) -> T:
        """The result of ``work``, or of the work of the same ``key`` that is under way already.

        One who joins late first hears the latest progress. When one who waits is cancelled the
        work goes on for the others; when the last one is, so is the work, and the cancellation
        goes on only after the work has cleaned up.

        Raises:
            whatever the work raises, in everyone who waits.
        """
        flight = self._flights.get(key) or self._take_off(key, work)
        if flight.latest:
            progress(*flight.latest)
        flight.listeners.append(progress)
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.listeners.remove(progress)
            if not flight.listeners and not flight.task.done():
                await self._abandon(key, flight)

    def _take_off(self, key: str, work: Work[T]) -> _Flight[T]:
        flight: _Flight[T] = _Flight()
        self._flights[key] = flight

        async def fly() -> T:
            try:
                return await work(flight.tell)
            finally:
                self._land(key, flight)

        flight.task = asyncio.create_task(fly(), name=key)
        return flight

    def _land(self, key: str, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _abandon(self, key: str, flight: _Flight[T]) -> None:
        self._land(key, flight)  # nobody may join what is about to be cancelled
        flight.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await flight.task
