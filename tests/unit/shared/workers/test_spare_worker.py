"""The worker that waits: taken once, replaced when it is dead, gone when nobody needs it."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from shared.host.retry import poll_async
from shared.workers import spare_worker
from shared.workers.spare_worker import SpareWorker
from shared.workers.worker_process import WorkerProcess, run_worker
from tests.scripted.workspaces import WORKER
from tests.unit.shared.workers.test_worker import job


def play(act: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await act

    asyncio.run(bounded())


def pid(worker: WorkerProcess) -> int:
    return worker._process.pid


def test_the_one_that_waits_does_the_next_job(tmp_path: Path) -> None:
    async def act() -> None:
        spare = SpareWorker(WORKER)
        await spare.prepare()
        waiting = spare._worker
        assert waiting
        await spare.prepare()
        taken = await spare.take()
        assert taken is waiting
        end = await run_worker(taken, job(tmp_path, "say one").rstrip(), lambda *_: None)
        assert end.status == 0
        other = await spare.take()
        assert pid(other) != pid(taken)
        await other.dismiss()

    play(act())


def test_one_that_has_died_is_not_given_out() -> None:
    async def act() -> None:
        spare = SpareWorker(WORKER)
        await spare.prepare()
        waiting = spare._worker
        assert waiting
        os.kill(pid(waiting), 9)
        assert await poll_async(lambda: not waiting.alive, asyncio.get_running_loop().time() + 10)
        other = await spare.take()
        assert other.alive
        await other.dismiss()
        assert not other.alive

    play(act())


def test_one_that_nobody_needs_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_worker, "KEPT_SECONDS", 0.05)

    async def act() -> None:
        spare = SpareWorker(WORKER)
        await spare.prepare()
        waiting = spare._worker
        assert waiting
        assert await poll_async(lambda: not waiting.alive, asyncio.get_running_loop().time() + 10)
        await spare.dismiss()

    play(act())
