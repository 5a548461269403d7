"""Real workers with scripted jobs, and programs that are no workers."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.errors import BangerError, Code
from shared.workers import worker_process
from shared.workers.worker_process import WorkerEnd, WorkerProcess, run_worker
from tests.scripted.workspaces import WORKER
from tests.unit.shared.workers.test_worker import job
from tests.waiting import eventually


def play(act: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await act

    asyncio.run(bounded())


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def end_of(argv: list[str], content: bytes = b"{}") -> WorkerEnd:
    return await run_worker(await WorkerProcess.start(argv), content, lambda *_: None)


def lives(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def test_progress_is_passed_on_and_the_result_comes_back(tmp_path: Path) -> None:
    async def act() -> None:
        said: list[tuple[str, str]] = []
        content = job(tmp_path, "say one").rstrip()
        worker = await WorkerProcess.start(WORKER)
        end = await run_worker(worker, content, lambda *words: said.append(words))
        assert said == [("script", "one")]
        assert msgspec.json.decode(end.result())["commit"] == "a" * 40
        assert end.status == 0

    play(act())


def test_an_error_of_the_job_is_raised(tmp_path: Path) -> None:
    async def act() -> None:
        end = await end_of(WORKER, job(tmp_path, "fail conflict").rstrip())
        with pytest.raises(BangerError) as raised:
            end.result()
        assert raised.value.code is Code.CONFLICT
        assert raised.value.hint == "write another"

    play(act())


def test_a_worker_that_ends_without_an_outcome_is_internal_with_its_last_words(
    tmp_path: Path,
) -> None:
    async def act() -> None:
        end = await end_of(WORKER, job(tmp_path, "exit").rstrip())
        with pytest.raises(BangerError) as raised:
            end.result()
        assert raised.value.code is Code.INTERNAL
        assert (end.status, list(end.stderr)) == (3, ["no outcome"])

    play(act())


def test_a_worker_that_is_killed_is_said_to_be() -> None:
    async def act() -> None:
        end = await end_of(python("import os; os.kill(os.getpid(), 9)"))
        with pytest.raises(BangerError, match="killed by signal 9"):
            end.result()

    play(act())


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"progress": 3}', "x" * 100_000])
def test_a_worker_that_says_what_nobody_understands_is_killed(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "END_SECONDS", 0.1)
    monkeypatch.setattr(worker_process, "LONGEST_LINE", 50_000)

    async def act() -> None:
        end = await end_of(python(f"import time; print({line!r}, flush=True); time.sleep(600)"))
        assert end.last is None
        assert end.status == -9

    play(act())


def test_what_a_job_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    async def act() -> None:
        await end_of(WORKER, job(tmp_path, f"child {tmp_path}/pid").rstrip())
        eventually(lambda: not lives(tmp_path / "pid"))

    play(act())


async def cancelled(tmp_path: Path, script: str) -> WorkerEnd:
    """The end of a worker whose caller is cancelled when the script says ``here``."""
    here = asyncio.Event()
    content = job(tmp_path, script).rstrip()
    worker = await WorkerProcess.start(WORKER)
    task = asyncio.create_task(run_worker(worker, content, lambda *_: here.set()))
    await here.wait()
    task.cancel()
    return await task


def test_a_cancel_lets_the_job_undo_what_it_did(tmp_path: Path) -> None:
    async def act() -> None:
        os.mkfifo(tmp_path / "fifo")
        script = f"undo {tmp_path}/undone\nchild {tmp_path}/pid\nsay here\nwait {tmp_path}/fifo"
        end = await cancelled(tmp_path, script)
        with pytest.raises(BangerError) as raised:
            end.result()
        assert raised.value.code is Code.CANCELLED
        assert (tmp_path / "undone").exists()
        eventually(lambda: not lives(tmp_path / "pid"))

    play(act())


def test_a_job_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "GRACE_SECONDS", 0.2)

    async def act() -> None:
        os.mkfifo(tmp_path / "fifo")
        script = f"child {tmp_path}/pid\nhold {tmp_path}/fifo"
        end = await cancelled(tmp_path, script)
        assert (end.last, end.status) == (None, -9)
        eventually(lambda: not lives(tmp_path / "pid"))

    play(act())


def test_the_request_is_in_no_argv(tmp_path: Path) -> None:
    async def act() -> None:
        os.mkfifo(tmp_path / "fifo")
        here = asyncio.Event()
        content = job(tmp_path, f"write {tmp_path}/told\nsay here\nwait {tmp_path}/fifo").rstrip()
        worker = await WorkerProcess.start(WORKER)
        task = asyncio.create_task(run_worker(worker, content, lambda *_: here.set()))
        await here.wait()
        pid = (tmp_path / "told").read_text().splitlines()[1]
        argv = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"secret" not in argv
        assert str(tmp_path).encode() not in argv
        (tmp_path / "fifo").write_text("go")
        await task

    play(act())
