"""Tasks that nobody awaits: kept, cancelled, and never failing in silence."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.bus import background
from shared.bus.background import Background, contain, keep_running
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


def test_contained_task_fails_into_the_log_alone(log: Log) -> None:
    assert not asyncio.run(contain("failing", fails, log))
    line = json.loads(log.path.read_text())
    assert line["task"] == "failing"
    assert "LookupError: lost" in line["traceback"]


def test_task_that_is_kept_running_is_run_again_until_it_succeeds(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "FIRST_PAUSE", 0.001)
    runs = 0

    async def succeeds_at_last() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise OSError(24, "Too many open files")

    asyncio.run(asyncio.wait_for(keep_running("flaky", succeeds_at_last, log), 5))
    assert runs == 4
    assert len(log.path.read_text().splitlines()) == 3


def test_pauses_grow_and_have_a_limit(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def fails_until_the_pauses_are_known() -> None:
        if len(pauses) < 9:
            raise LookupError("lost")

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(keep_running("flaky", fails_until_the_pauses_are_known, log))
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
