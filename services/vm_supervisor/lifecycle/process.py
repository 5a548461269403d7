"""What a supervision asks of the process that it lives in."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from shared.contract.messages.vm import State

Task = Coroutine[Any, Any, None]


class SupervisorProcess(Protocol):
    """The service, or a test in its place."""

    async def store_state(self, state: State, reason: str, *, wakes: bool) -> None:
        """Return when the store has the state, or when it is not the VM's state any more."""

    async def note_use(self) -> None:
        """Have the store note that somebody uses the VM now; a failure is logged."""

    async def leave(self) -> None:
        """End the process once its last verb is answered: nothing is left to supervise."""

    def spawn(self, task: Task) -> asyncio.Task[None]:
        """Run ``task`` beside the rest. An error in it ends the process, so what a guest drives is
        run by ``GuestTasks``."""
