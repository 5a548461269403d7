"""The boot under way, and everybody who waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from services.vm_supervisor.launch.launcher import Say
from shared.logs import Log


class BootUnderWay:
    """At most one at a time; true while there is one."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Say] = []

    def __bool__(self) -> bool:
        return self._task is not None

    def begin(self, boot: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(boot)
        self._task.add_done_callback(self._ended)

    async def join(self, listener: Say) -> None:
        """Wait for its end, told of its stages. Raises what went wrong; leaving does not end it."""
        if self._task:
            self._listeners.append(listener)
            try:
                await asyncio.shield(self._task)
            finally:
                self._listeners.remove(listener)

    def say(self, stage: str, message: str) -> None:
        self._log.info(message, stage=stage)
        for listener in self._listeners:
            listener(stage, message)

    def cancel(self) -> None:
        if self._task:
            self._task.cancel()

    async def give_up(self) -> None:
        """Returns when it has taken back what it had begun."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _ended(self, boot: asyncio.Task[None]) -> None:
        """Whoever waits for it hears of its failure; nobody may be waiting any more."""
        if self._task is boot:
            self._task = None
        if not boot.cancelled():
            boot.exception()
