"""Tasks that nobody awaits, and what becomes of a process in which one of them fails."""

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from shared.logs import Log


class Background:
    """Runs tasks that nobody awaits until they end or ``cancel``.

    A task that ends by an error ends the process by ``fail``: otherwise the process would look
    alive and leave that work undone for ever, and whoever watches it can start it again. A task
    handles the errors that it expects itself.
    """

    def __init__(self, log: Log, fail: Callable[[], None]) -> None:
        self.failed = False
        self._log = log
        self._fail = fail
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``coroutine`` beside everything else; nothing else has to refer to the task."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self.failed = True
        trace = "".join(traceback.format_exception(error))
        self._log.error("a task failed: this process ends", task=str(task), traceback=trace)
        self._fail()
