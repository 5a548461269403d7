"""A library that makes an entry when it is first asked for."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Generic

from services.images.library.library import Library
from services.images.library.manifest import M
from services.images.library.publish import publish
from services.images.library.scratch import Scratch, scratch
from services.images.library.single_flight import ReportProgress, SingleFlight

Maker = Callable[[Scratch, ReportProgress], Awaitable[M]]
"""Leaves the files in the directory that it is given and returns the manifest for them."""


class BuildOnDemand(Generic[M]):
    """A library, and builds of what is missing in it: one at a time for each name."""

    def __init__(self, library: Library[M]) -> None:
        self.library: Library[M] = library
        self._builds: SingleFlight[M] = SingleFlight()

    @property
    def busy(self) -> list[str]:
        """Names of the builds under way."""
        return self._builds.running

    async def get(self, name: str, make: Maker[M], *, force: bool, progress: ReportProgress) -> M:
        """The published entry of this name, made first when it is missing or with ``force``."""

        async def build(report: ReportProgress) -> M:
            with scratch(self.library.root) as place:
                manifest = await make(place, report)
                report("publish", "writing it to the disk", 0.99)
                await _to_its_end(asyncio.to_thread(publish, place, manifest))
            return manifest

        if not force and (found := await asyncio.to_thread(self.library.named, name)):
            return found
        return await self._builds.run(name, build, progress)


async def _to_its_end(thread: Coroutine[None, None, object]) -> None:
    """Await ``thread``, also when cancelled: it still uses its directory."""
    running = asyncio.create_task(thread)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await running
        raise
