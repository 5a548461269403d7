"""Verbs about operations, and the context that makes a verb an operation."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.api.operations import Operations
from shared.bus.handlers import Call, handles
from shared.bus.paging import cut
from shared.contract.messages.operation import Operation, OperationList, OperationRef
from shared.contract.messages.page import After
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.logs import now_rfc3339


@asynccontextmanager
async def under_way(
    operations: Operations, call: Call, verb: str, subject: str
) -> AsyncIterator[Operation]:
    """Make what is inside an operation that can be looked up and cancelled."""
    operation = Operation(
        id=call.request_id, verb=verb, subject=subject, state="running", started_at=now_rfc3339()
    )
    task = asyncio.current_task()
    assert task, "verbs run as tasks"
    # A second cancel would cut short how the first is taken.
    operations.begin(operation, lambda: task.cancelling() or task.cancel())
    call.on_progress = lambda stage, message: operations.progress(operation.id, stage, message)
    error: BangerError | None = None
    try:
        yield operation
    except BangerError as failure:
        error = failure
        raise
    except asyncio.CancelledError:  # the deadline ends it in this way, too
        late = time.monotonic() >= call.deadline
        code, what = (Code.TIMEOUT, "not done in time") if late else (Code.CANCELLED, "cancelled")
        error = BangerError(code, f"{verb} {operation.subject} was {what}")
        raise
    except Exception as bug:
        error = BangerError(Code.INTERNAL, f"{type(bug).__name__}: {bug}")
        raise
    finally:
        operations.end(operation.id, error, now_rfc3339(), time.monotonic())
        operations.prune(time.monotonic())


class OperationVerbs:
    """Look long verbs up, and cancel them."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    @handles(api.OPS_LIST)
    async def list_operations(self, request: After, _call: Call) -> OperationList:
        self._operations.prune(time.monotonic())
        known = ((f"{each.started_at} {each.id}", each) for each in self._operations.list())
        operations, cursor = cut(known, request.after)
        return OperationList(operations=operations, next=cursor)

    @handles(api.OPS_SHOW)
    async def show_operation(self, request: OperationRef, _call: Call) -> Operation:
        return self._operations.find(request.ref)

    @handles(api.OPS_CANCEL)
    async def cancel_operation(self, request: OperationRef, call: Call) -> Operation:
        """Returns when the operation has ended, with what was undone undone."""
        operation = self._operations.find(request.ref)
        await self._operations.cancelled(operation, call.deadline)
        return operation
