"""A process that waits for its VM on stdin, with a program in the place of the supervisor's."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from services.api.machines.spare_supervisor import Spare
from shared.host.process import Watch, start_time
from tests.fakes.scene import play, settled


class Bench:
    """Spares whose program writes what it was sent to a file of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tasks: set[asyncio.Task[None]] = set()
        self.spare = Spare(root / "errors", self.spawn)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def started(self) -> list[int]:
        """Pids of all programs so far, the oldest first."""
        told = self.root / "pids"
        return [int(line) for line in told.read_text().split()] if told.exists() else []

    def sent_to(self, pid: int) -> bytes:
        return (self.root / f"{pid}.got").read_bytes()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "supervisor"
    program.write_text(f'#!/bin/sh\necho $$ >> {tmp_path}/pids\nexec cat > "{tmp_path}/$$.got"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return tmp_path


async def ended(watch: Watch | None) -> None:
    assert watch
    await watch.ended()
    watch.close()


def test_the_one_that_waits_gets_the_vm(root: Path) -> None:
    async def act() -> None:
        bench = Bench(root)
        bench.spare.prepare()
        bench.spare.prepare()
        await settled(bench.started)
        (waiting,) = bench.started()
        watch = bench.spare.assign(b"the VM")
        assert watch
        assert watch.process.pid == waiting
        await ended(watch)
        assert bench.sent_to(waiting) == b"the VM"

    play(act())


def test_without_one_that_waits_another_is_started(root: Path) -> None:
    async def act() -> None:
        bench = Bench(root)
        watch = bench.spare.assign(b"the VM")
        assert watch
        await ended(watch)
        assert bench.sent_to(watch.process.pid) == b"the VM"

    play(act())


def test_one_that_has_died_is_replaced(root: Path) -> None:
    async def act() -> None:
        bench = Bench(root)
        bench.spare.prepare()
        await settled(bench.started)
        (dead,) = bench.started()
        os.kill(dead, signal.SIGKILL)
        await settled(lambda: start_time(dead) is None)
        bench.spare.prepare()
        await settled(lambda: len(bench.started()) == 2)
        await settled(lambda: not bench.tasks)
        watch = bench.spare.assign(b"the VM")
        await ended(watch)
        assert bench.sent_to(bench.started()[1]) == b"the VM"

    play(act())


def test_one_that_died_unseen_costs_nobody_the_vm(root: Path) -> None:
    async def act() -> None:
        bench = Bench(root)
        bench.spare.prepare()
        await settled(bench.started)
        (dead,) = bench.started()
        os.kill(dead, signal.SIGKILL)
        await settled(lambda: start_time(dead) is None)
        watch = bench.spare.assign(b"the VM")
        assert watch
        assert watch.process.pid != dead
        await ended(watch)
        await settled(lambda: not bench.tasks)

    play(act())


def test_when_two_die_as_they_begin_there_is_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        spare = Bench(root).spare
        spare.prepare()
        process = spare._waiting
        assert process
        await settled(lambda: start_time(process.process.pid) is None)

        def started_dead() -> Any:
            waiting = Spare._start(spare)
            os.waitid(os.P_PID, waiting.process.pid, os.WEXITED | os.WNOWAIT)
            return waiting

        monkeypatch.setattr(spare, "_start", started_dead)
        assert spare.assign(b"the VM") is None

    monkeypatch.setattr(sys, "executable", "/bin/false")
    play(act())


def test_the_one_that_waits_ends_with_the_api(root: Path) -> None:
    async def act() -> None:
        bench = Bench(root)
        bench.spare.prepare()
        await settled(bench.started)
        (waiting,) = bench.started()
        bench.spare.close()
        await settled(lambda: start_time(waiting) is None)
        assert bench.sent_to(waiting) == b""
        bench.spare.prepare()
        assert bench.started() == [waiting]

    play(act())
