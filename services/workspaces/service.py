"""The service ``workspaces``: each transfer is a process of its own, those of one VM in turn.

The service itself reads no repository and reaches no guest. It starts a worker, passes on what the
worker says, and sees to it that worker and directory are gone afterwards.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from services.workspaces.turns import Turns
from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.runner import own
from shared.config import Config
from shared.contract.messages.workspace import (
    Applied,
    Exported,
    FilesSent,
    Prepared,
    Target,
    TransferApply,
    TransferExport,
    TransferFiles,
    TransferPrepare,
    TransferStatus,
    WorkspacePlan,
    WorkspacePlanRequest,
    WorkspaceStatus,
)
from shared.contract.verb import Verb
from shared.contract.verbs import workspaces
from shared.errors import BangerError, Code
from shared.host.programs import child_argv
from shared.logs import Log
from shared.paths import Paths
from shared.workers.area import make_directory, remove_directory, sweep
from shared.workers.spare_worker import SpareWorker
from shared.workers.worker import GRACE_SECONDS, WorkerJob
from shared.workers.worker_process import WorkerEnd, run_worker

SWEEP_SECONDS = GRACE_SECONDS + 5.0
"""For workers of an earlier service, which are ending."""

Result = TypeVar("Result")


class WorkspacesService(Actor):
    def __init__(
        self, paths: Paths, log: Log, _config: Config, worker: Sequence[str] | None = None
    ) -> None:
        """``worker``: the argv of a worker, if it is another than ours."""
        super().__init__("workspaces", paths, log)
        self._spare = SpareWorker(worker or child_argv("services.workspaces.worker"))
        self._area = paths.transfers
        self._turns = Turns()
        self._running = 0
        self._swept = asyncio.Event()

    async def on_start(self) -> None:
        self._lock = await own(self.paths.lock("workspaces"))
        self.background.spawn(self._sweep())

    async def on_stop(self) -> None:
        await self._spare.dismiss()

    def status(self) -> dict[str, int]:
        return {"transfers": self._running, "waiting": self._turns.waiting}

    async def _sweep(self) -> None:
        for path in await asyncio.to_thread(sweep, self._area, SWEEP_SECONDS):
            self.log.warning("removed the remains of a transfer", path=str(path))
        self._swept.set()

    @handles(workspaces.PLAN)
    async def plan(self, request: WorkspacePlanRequest, call: Call) -> WorkspacePlan:
        return await self._transfer(workspaces.PLAN, request, call)

    @handles(workspaces.PREPARE)
    async def prepare(self, request: TransferPrepare, call: Call) -> Prepared:
        return await self._in_turn(workspaces.PREPARE, request, request.target, call)

    @handles(workspaces.STATUS)
    async def workspace_status(self, request: TransferStatus, call: Call) -> WorkspaceStatus:
        return await self._in_turn(workspaces.STATUS, request, request.target, call)

    @handles(workspaces.EXPORT)
    async def export(self, request: TransferExport, call: Call) -> Exported:
        return await self._in_turn(workspaces.EXPORT, request, request.target, call)

    @handles(workspaces.APPLY)
    async def apply(self, request: TransferApply, call: Call) -> Applied:
        return await self._in_turn(workspaces.APPLY, request, request.target, call)

    @handles(workspaces.FILES)
    async def files(self, request: TransferFiles, call: Call) -> FilesSent:
        return await self._in_turn(workspaces.FILES, request, request.target, call)

    async def _in_turn(
        self, verb: Verb[..., Any, Result], request: Any, target: Target, call: Call
    ) -> Result:
        def say_so() -> None:
            call.progress("queue", f"waiting for another transfer of {target.vm_name}")

        async with self._turns.turn(target.vm_id, say_so):
            return await self._transfer(verb, request, call, target.vm_id)

    async def _transfer(
        self, verb: Verb[..., Any, Result], request: Any, call: Call, vm_id: str = ""
    ) -> Result:
        await self._swept.wait()
        path = make_directory(self._area, call.request_id)
        job = WorkerJob(
            verb=verb.name,
            directory=str(path),
            vm_state=str(self.paths.vm_state(vm_id)) if vm_id else "",
            body=msgspec.Raw(msgspec.json.encode(request)),
        )
        self._running += 1
        try:
            worker = await self._spare.take()
            end = await run_worker(worker, msgspec.json.encode(job), call.progress)
        finally:
            self._running -= 1
            await self._remove(path)
            self.background.spawn(self._spare.prepare())
        return self._result(verb, end)

    async def _remove(self, path: Any) -> None:
        if not await asyncio.shield(asyncio.to_thread(remove_directory, path)):
            self.log.warning("the directory of a transfer is not removed", path=str(path))

    def _result(self, verb: Verb[..., Any, Result], end: WorkerEnd) -> Result:
        """Raises what the job raised; ``CancelledError`` for one that was cancelled, whose deadline
        has passed, or that this service's own end has ended."""
        try:
            return msgspec.json.decode(end.result(), type=verb.result)
        except (BangerError, msgspec.MsgspecError) as error:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise asyncio.CancelledError from None
            raise self._logged(verb, error, end) from error

    def _logged(
        self, verb: Verb[..., Any, Any], error: BangerError | msgspec.MsgspecError, end: WorkerEnd
    ) -> BangerError:
        if isinstance(error, msgspec.MsgspecError):
            error = BangerError(Code.INTERNAL, f"{verb.name} gave an answer of no use: {error}")
        if error.code is Code.INTERNAL:
            self.log.error(
                "a transfer failed", verb=verb.name, status=end.status, stderr=list(end.stderr)
            )
            error.hint = error.hint or f"details are in {self.log.path}"
        return error
