"""Tasks that nobody awaits: kept, cancelled, and never failing in silence."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.bus.background import Background
from shared.logs import Log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log", "test")
    yield log
    log.close()


async def fails() -> None:
    raise LookupError("lost")


async def waits() -> None:
    await asyncio.Event().wait()


def test_failed_task_ends_the_process_and_says_why(log: Log) -> None:
    async def run() -> Background:
        ended = asyncio.Event()
        background = Background(log, ended.set)
        background.spawn(fails())
        await asyncio.wait_for(ended.wait(), 5)
        return background

    assert asyncio.run(run()).failed
    line = json.loads(log.path.read_text())
    assert line["level"] == "error"
    assert "LookupError: lost" in line["traceback"]


def test_cancelled_task_is_no_failure(log: Log) -> None:
    async def run() -> tuple[Background, bool]:
        ended = asyncio.Event()
        background = Background(log, ended.set)
        task = background.spawn(waits())
        background.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()
        return background, ended.is_set()

    background, ended = asyncio.run(run())
    assert not background.failed
    assert not ended
