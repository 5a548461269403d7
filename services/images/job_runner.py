"""Runs long jobs about images, each in a worker of its own.

What comes from elsewhere is parsed there and not in the service. A worker that is killed leaves a
work directory in the library, which is removed as soon as it has ended.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from services.images.library.scratch import sweep
from services.images.library.single_flight import ReportProgress
from shared.bus.handlers import Call
from shared.errors import BangerError, Code
from shared.host.programs import child_argv
from shared.logs import Log
from shared.workers.area import make_directory, remove_directory
from shared.workers.worker import WorkerJob
from shared.workers.worker_process import WorkerEnd, WorkerProcess, run_worker

R = TypeVar("R")


class JobRunner:
    """``area`` is where the jobs' directories are, ``library`` what they publish into."""

    def __init__(
        self, area: Path, library: Path, log: Log, worker: Sequence[str] | None = None
    ) -> None:
        """``worker``: the argv of a worker, if it is another than ours."""
        self._area = area
        self._library = library
        self._log = log
        self._worker = worker or child_argv("services.images.worker")
        self.running = 0

    async def run(
        self,
        name: str,
        request: msgspec.Struct,
        result: type[R],
        call: Call,
        *,
        progress: ReportProgress | None = None,
    ) -> R:
        """Do the job ``name`` of services/images/jobs. All that it has started is gone afterwards.

        ``progress`` takes the progress of the job in place of the caller.

        Raises:
            BangerError: as the job.
        """
        path = make_directory(self._area, call.request_id)
        body = msgspec.Raw(msgspec.json.encode(request))
        job = WorkerJob(verb=name, directory=str(path), body=body)

        report = progress or call.progress

        def tell(stage: str, message: str) -> None:
            report(stage, message, None)

        self.running += 1
        try:
            worker = await WorkerProcess.start(self._worker)
            end = await run_worker(worker, msgspec.json.encode(job), tell)
        finally:
            self.running -= 1
            await asyncio.shield(asyncio.to_thread(remove_directory, path))
        return await self._result(name, end, result)

    async def _result(self, name: str, end: WorkerEnd, result: type[R]) -> R:
        """Raises what the job raised; ``CancelledError`` for one that was cancelled."""
        try:
            return msgspec.json.decode(end.result(), type=result)
        except (BangerError, msgspec.MsgspecError) as error:
            await asyncio.to_thread(sweep, self._library)
            task = asyncio.current_task()
            if task and task.cancelling():
                raise asyncio.CancelledError from None
            raise self._logged(name, error, end) from error

    def _logged(
        self, name: str, error: BangerError | msgspec.MsgspecError, end: WorkerEnd
    ) -> BangerError:
        if isinstance(error, msgspec.MsgspecError):
            error = BangerError(Code.INTERNAL, f"{name} gave an answer of no use: {error}")
        if error.code is Code.INTERNAL:
            self._log.error("a job failed", job=name, status=end.status, stderr=list(end.stderr))
            error.hint = error.hint or f"details are in {self._log.path}"
        return error
