"""The long verbs that were asked for: what runs, what came of it. Pure; times are handed in.

An operation is known by the id of its request. Finished ones are kept for people to look up and
pruned by age and number.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.contract.messages.operation import Operation
from shared.contract.reference import find_id
from shared.errors import BangerError, Code
from shared.plain_text import printable

KEPT = 200
KEPT_SECONDS = 3600.0
LONGEST_STAGE, LONGEST_MESSAGE = 64, 1000
"""Characters; a message may be what a guest says."""


@dataclass
class Running:
    """A running operation and the way to cancel it."""

    cancel: Callable[[], object]
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Operations:
    """All operations of this api, oldest first."""

    _known: dict[str, Operation] = field(default_factory=dict)
    _running: dict[str, Running] = field(default_factory=dict)
    _ended: dict[str, float] = field(default_factory=dict)

    def begin(self, operation: Operation, cancel: Callable[[], object]) -> None:
        self._known[operation.id] = operation
        self._running[operation.id] = Running(cancel)
        self._ended.pop(operation.id, None)

    def progress(self, id_: str, stage: str, message: str) -> None:
        operation = self._known.get(id_)
        if operation and operation.state == "running":
            operation.stage = printable(stage, LONGEST_STAGE)
            operation.message = printable(message, LONGEST_MESSAGE)

    def end(self, id_: str, error: BangerError | None, at: str, now: float) -> None:
        """It is over: done, failed or cancelled. ``at`` is RFC 3339, ``now`` monotonic."""
        operation = self._known[id_]
        self._running.pop(id_).over.set()
        self._ended[id_] = now
        operation.ended_at = at
        if error is None:
            operation.state = "done"
            return
        operation.state = "cancelled" if error.code is Code.CANCELLED else "failed"
        operation.code = error.code.value
        operation.message = printable(error.message, LONGEST_MESSAGE)

    def prune(self, now: float) -> None:
        """Forget finished operations that are old or too many."""
        ended = list(self._ended.items())
        surplus = len(ended) - KEPT
        for index, (id_, at) in enumerate(ended):
            if index < surplus or now - at > KEPT_SECONDS:
                del self._known[id_], self._ended[id_]

    def list(self) -> list[Operation]:
        return list(self._known.values())

    def find(self, ref: str) -> Operation:
        """By id or unique prefix. Raises as ``find_id``."""
        return self._known[find_id("operation", ref, ((known, "") for known in self._known))]

    async def cancelled(self, operation: Operation, deadline: float) -> None:
        """Ask it to end and wait until it has, at most until ``deadline``.

        Raises ``conflict`` when it had ended already, or could not be kept from being done.
        """
        running = self._running.get(operation.id)
        if running is None:
            raise BangerError(Code.CONFLICT, f"operation {operation.id[:12]} is {operation.state}")
        running.cancel()
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + _left(deadline)):
            await running.over.wait()
        if operation.state == "done":
            raise BangerError(
                Code.CONFLICT,
                f"{operation.verb} {operation.subject} can no longer be cancelled: it is done",
            )


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
