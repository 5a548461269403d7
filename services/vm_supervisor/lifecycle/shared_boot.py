"""The boot under way, and everybody who waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from services.vm_supervisor.launch.launcher import ReportProgress
from shared.logs import Log


class BootUnderWay:
    """At most one boot at a time; true while there is one."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[ReportProgress] = []

    def __bool__(self) -> bool:
        return self._task is not None

    def begin(self, boot: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(boot)
        self._task.add_done_callback(self._ended)

    async def join(self, listener: ReportProgress) -> None:
        """Wait for the end of the boot; ``listener`` hears of its stages. Raises what went wrong.

        A caller that is cancelled leaves the boot as it is.
        """
        if self._task:
            self._listeners.append(listener)
            try:
                await asyncio.shield(self._task)
            finally:
                self._listeners.remove(listener)

    def report(self, stage: str, message: str) -> None:
        """Tell the log and all listeners of a stage."""
        self._log.info(message, stage=stage)
        for listener in self._listeners:
            listener(stage, message)

    def cancel(self) -> None:
        if self._task:
            self._task.cancel()

    async def give_up(self) -> None:
        """Cancel the boot; returns when it has undone what it had begun."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _ended(self, boot: asyncio.Task[None]) -> None:
        if self._task is boot:
            self._task = None
        if not boot.cancelled():
            boot.exception()  # taken note of: there may be nobody left who waits for it
