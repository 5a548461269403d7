"""When each of many copies may come up: a few at a time, and not while the host is busy with those
before it. The time that a guest has for its boot begins with its turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from shared.host.kernel_text import read_kernel_text

CALM = 0.15
"""The share of the processors' time that is idle on a host that has room for another start."""
LONGEST_WAIT = 20.0
"""Seconds; a host that is busy for longer is busy with something else."""
SAMPLE_SECONDS = 0.2
_STAT = "/proc/stat"


class CopyTurns:
    """``at_once``: how many have their turn at the same time; so many are let in at once.
    ``idle_share``: looks for a moment, and returns the share of time that processors were idle."""

    def __init__(
        self, at_once: int, idle_share: Callable[[], Awaitable[float]] | None = None
    ) -> None:
        self._at_once = at_once
        self._idle_share = idle_share or measured_idle_share
        self._places = asyncio.Semaphore(at_once)
        self._one = asyncio.Lock()
        self._begun = 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Inside, it is the caller's turn."""
        async with self._places:
            async with self._one:
                if self._begun >= self._at_once:
                    await self._calm()
                self._begun += 1
            yield

    async def _calm(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT):
                while await self._idle_share() < CALM:
                    pass


async def measured_idle_share() -> float:
    """Of all processors together, over ``SAMPLE_SECONDS``."""
    before = processor_times(read_kernel_text(_STAT))
    await asyncio.sleep(SAMPLE_SECONDS)
    idle, total = (
        now - then
        for now, then in zip(processor_times(read_kernel_text(_STAT)), before, strict=True)
    )
    return idle / total if total > 0 else 1.0


def processor_times(text: str) -> tuple[int, int]:
    """Idle time and all time since the host's boot, in ticks: idle and iowait, and the first eight
    columns, in which guests are counted once (proc_stat(5)). Pure."""
    columns = [int(word) for word in text.splitlines()[0].split()[1:9]]
    return columns[3] + columns[4], sum(columns)
