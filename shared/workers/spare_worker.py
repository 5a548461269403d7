"""A worker that is started before it is needed, as long as jobs come one soon after another.

Starting one takes a tenth of a second, most of it Python's imports. Who looks at a workspace's
plan, prepares and takes out waits for it once. A service that nobody asks has none.
"""

import asyncio
from collections.abc import Sequence

from shared.workers.worker_process import WorkerProcess

KEPT_SECONDS = 60.0
"""How long a worker waits for a job."""


class SpareWorker:
    """At most one."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._worker: WorkerProcess | None = None
        self._preparing = False
        self._end: asyncio.TimerHandle | None = None

    async def take(self) -> WorkerProcess:
        """The worker that waits, or a new one."""
        worker = self._give_up()
        if worker is None or not worker.alive:
            worker = await WorkerProcess.start(self._argv)
        return worker

    async def prepare(self) -> None:
        """See to it that one waits, from now on for ``KEPT_SECONDS``."""
        if self._preparing:
            return
        if self._worker is None:
            self._preparing = True
            try:
                self._worker = await WorkerProcess.start(self._argv)
            except OSError:
                return  # the next job tries it, and can say so
            finally:
                self._preparing = False
        if self._end:
            self._end.cancel()
        loop = asyncio.get_running_loop()
        self._end = loop.call_later(KEPT_SECONDS, lambda: loop.create_task(self.dismiss()))

    async def dismiss(self) -> None:
        """End the one that waits, if there is one."""
        worker = self._give_up()
        if worker:
            await worker.dismiss()

    def _give_up(self) -> WorkerProcess | None:
        worker, self._worker = self._worker, None
        if self._end:
            self._end.cancel()
            self._end = None
        return worker
