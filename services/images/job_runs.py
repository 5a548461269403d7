"""Runs long jobs about images, each in a process of its own (docs/decisions/0036).

Archives, disks and repositories of others are read there and never in the service.
"""

import asyncio
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shared.bus.handlers import Call
from shared.contract.verb import Verb
from shared.errors import BangerError, Code
from shared.host.programs import child_argv
from shared.logs import Log
from shared.workers.area import make_directory, remove_directory, sweep
from shared.workers.worker import GRACE_SECONDS, WorkerJob
from shared.workers.worker_process import WorkerProcess, run_worker

SWEEP_SECONDS = GRACE_SECONDS + 5.0
"""For workers of an earlier service, which are ending."""

Result = TypeVar("Result")


class JobRuns:
    """Jobs side by side."""

    def __init__(self, area: Path, log: Log) -> None:
        self._area = area
        self._log = log
        self._count = 0

    async def sweep(self) -> None:
        """Remove what jobs of an earlier service have left."""
        for path in await asyncio.to_thread(sweep, self._area, SWEEP_SECONDS):
            self._log.warning("removed the remains of a job", path=str(path))

    async def run(
        self, verb: Verb[..., Any, Result], request: Any, call: Call, vm_state: Path | None = None
    ) -> Result:
        """Do the job that the verb is called after; its result.

        Raises:
            BangerError: the job's own; ``internal`` when its process ends without an outcome.
        """
        result = await self.raw(verb.name, request, call, vm_state)
        return msgspec.json.decode(result, type=verb.result)

    async def raw(
        self, name: str, request: Any, call: Call, vm_state: Path | None = None
    ) -> msgspec.Raw:
        """As ``run``, for a job whose result is another than a verb's."""
        self._count += 1
        path = make_directory(self._area, f"{call.request_id}-{self._count}")
        job = WorkerJob(
            verb=name,
            directory=str(path),
            vm_state=str(vm_state or ""),
            body=msgspec.Raw(msgspec.json.encode(request)),
        )
        try:
            worker = await WorkerProcess.start(child_argv("services.images.worker"))
            end = await run_worker(worker, msgspec.json.encode(job), call.progress)
        finally:
            await asyncio.shield(asyncio.to_thread(remove_directory, path))
        try:
            return end.result()
        except BangerError as error:
            if error.code is Code.CANCELLED:
                raise asyncio.CancelledError from error
            if error.code is Code.INTERNAL:
                self._log.error("job failed", job=name, output=list(end.stderr))
            raise
