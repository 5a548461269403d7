"""One transfer of a VM after another, in the order in which they were asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Turns:
    """Locks by name, forgotten when nobody has or waits for them."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        """How many wait for somebody else."""
        return sum(self._users.values()) - len(self._users)

    @asynccontextmanager
    async def turn(self, name: str, on_wait: Callable[[], None]) -> AsyncIterator[None]:
        """Inside, nobody else has the turn of ``name``. ``on_wait`` is called before a wait."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        self._users[name] = self._users.get(name, 0) + 1
        try:
            if lock.locked():
                on_wait()
            async with lock:
                yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name], self._locks[name]
