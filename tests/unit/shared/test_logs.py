"""Log lines: JSON with their context, in a file that does not grow without end."""

import asyncio
import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared import logs
from shared.logs import Log, log_context


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "logs" / "store.log", "store")
    yield log
    log.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_line_says_when_who_and_what(log: Log) -> None:
    log.info("vm reserved", vm="0123456789ab", path=Path("/x"))
    (line,) = lines(log.path)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "service": "store",
        "pid": os.getpid(),
        "message": "vm reserved",
        "vm": "0123456789ab",
        "path": "/x",
    }


def test_context_is_in_every_line_inside_and_gone_outside(log: Log) -> None:
    with log_context(request="r1"):
        with log_context(vm="v1"):
            log.info("both")
        log.info("one")
    log.info("none")
    seen = [{key: line.get(key) for key in ("request", "vm")} for line in lines(log.path)]
    assert seen == [
        {"request": "r1", "vm": "v1"},
        {"request": "r1", "vm": None},
        {"request": None, "vm": None},
    ]


def test_concurrent_tasks_do_not_see_each_others_context(log: Log) -> None:
    async def task(request: str) -> None:
        with log_context(request=request):
            await asyncio.sleep(0)
            log.info(request)

    async def both() -> None:
        await asyncio.gather(task("a"), task("b"))

    asyncio.run(both())
    assert all(line["request"] == line["message"] for line in lines(log.path))


def test_debug_lines_only_at_debug_level(tmp_path: Path, log: Log) -> None:
    log.debug("quiet")
    assert lines(log.path) == []
    loud = Log(tmp_path / "loud.log", "loud", level="debug")
    loud.debug("heard")
    loud.close()
    assert [line["message"] for line in lines(loud.path)] == ["heard"]


def test_exception_carries_its_traceback(log: Log) -> None:
    try:
        raise LookupError("lost")
    except LookupError:
        log.exception("a bug")
    (line,) = lines(log.path)
    assert line["level"] == "error"
    assert "LookupError: lost" in line["traceback"]


def test_full_file_is_set_aside_and_no_line_is_lost(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "ROTATE_BYTES", 300)
    for number in range(5):
        log.info(f"line {number}")
    older = log.path.with_suffix(".log.1")
    kept = [line["message"] for line in lines(older) + lines(log.path)]
    assert kept == sorted(kept)
    assert kept[-1] == "line 4"
    assert log.path.stat().st_size < 600


def test_failed_rotation_goes_to_stderr_and_never_to_another_file(
    log: Log, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(logs, "ROTATE_BYTES", 0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        log.info("unlucky")
    assert "No space left" in capfd.readouterr().err
    # A descriptor opened now must not take the place of the log's own.
    with (tmp_path / "database").open("w"):
        monkeypatch.setattr(logs, "ROTATE_BYTES", 1 << 30)
        log.info("later")
    assert (tmp_path / "database").read_text() == ""


def test_full_disk_under_the_log_and_stderr_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chaos seed 1: a supervisor whose VMM had ended died of saying so, and nobody noticed."""
    with Path("/dev/full").open("w", buffering=1) as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        log = Log(Path("/dev/full"), "store")
        log.info("no room")
        log.close()
        monkeypatch.undo()
        with contextlib.suppress(OSError):  # what could not be said is still in its buffer
            stderr.close()


def test_line_after_half_a_line_stands_alone(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: write(fd, data[:9]))
        log.info("cut off")
    log.info("whole")
    log.info("whole too")
    half, *rest = log.path.read_text().splitlines()
    assert half == '{"time": '
    assert [json.loads(line)["message"] for line in rest] == ["whole", "whole too"]


def test_file_is_closed_to_others(log: Log) -> None:
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.path.parent.stat().st_mode & 0o777 == 0o700
