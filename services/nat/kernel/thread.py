"""The one thread that talks to the kernel, so that the event loop does not wait for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class KernelThread:
    """Runs blocking calls one after the other. Identity and namespace are those of the process."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernel")

    async def run(self, action: Callable[..., T], *arguments: object) -> T:
        """The result of ``action``; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, action, *arguments)

    def close(self) -> None:
        """Wait for the call that is running."""
        self._pool.shutdown()
