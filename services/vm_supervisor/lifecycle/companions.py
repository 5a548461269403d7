"""Tasks that run beside one guest, and end with its VMM."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Task = Coroutine[Any, Any, None]


class Companions:
    """``keep`` runs a task beside everything else."""

    def __init__(self, keep: Callable[[Task], asyncio.Task[None]]) -> None:
        self._keep = keep
        self._tasks: list[asyncio.Task[None]] = []
        self._following: asyncio.Task[None] | None = None

    def add(self, task: Task) -> None:
        self._tasks.append(self._keep(task))

    def follow(self, ports: Task) -> None:
        """The one that asks the guest for its ports every second."""
        self.stop_following()
        self._following = self._keep(ports)

    def stop_following(self) -> None:
        if self._following:
            self._following.cancel()
            self._following = None

    def end(self) -> None:
        self.stop_following()
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
