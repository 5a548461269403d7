"""Tasks that nobody awaits, and what becomes of a process in which one of them fails.

A task that drives what is the process's own (``Background.spawn``) ends the process by its failure.
A task that guests or foreign names drive never does: it runs inside ``contain`` or
``keep_running``, whatever it meets.
"""

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from shared.logs import Log

Run = Callable[[], Coroutine[Any, Any, None]]
"""Makes the coroutine of one run of a task."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a task that failed is run again; the pause doubles from failure to failure."""
STEADY_SECONDS = 60.0
"""A task that ran so long before it failed begins with the first pause again."""


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


async def contain(name: str, run: Run, log: Log) -> bool:
    """Run a task to its end; whether it succeeded. What it raises is logged and not raised."""
    try:
        await run()
    except Exception:
        log.exception("a task failed: the process goes on", task=name)
        return False
    return True


async def keep_running(name: str, run: Run, log: Log) -> None:
    """Run a task until it ends without an error: after one it is run again, with growing pauses."""
    clock = asyncio.get_running_loop().time
    pause = FIRST_PAUSE
    while True:
        started = clock()
        if await contain(name, run, log):
            return
        if clock() - started >= STEADY_SECONDS:
            pause = FIRST_PAUSE
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
