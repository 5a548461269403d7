"""Whose supervisor is whose, with real processes that hold a VM's lock."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from services.api.machines.spare_supervisor import Spare
from services.api.machines.supervisors import Supervisors
from shared.contract.messages.machine import SupervisorSpec
from shared.logs import Log
from shared.paths import Paths, make_private
from shared.vm import files
from shared.vm.handle import remove_handle, write_handle
from tests.example import example_vm
from tests.unit.services.api.conftest import program
from tests.unit.shared.vm.test_handle import own_handle

VM = example_vm(state="running")
SPEC = SupervisorSpec(vm=VM, image="i", kernel="k")
HOLD = """\
import sys; from pathlib import Path; from shared.host.locks import Lock
lock = Lock.try_acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


class Told:
    """Whom the supervisors report to."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.given_up: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def spec_of(self, _vm_id: str) -> SupervisorSpec:
        return SPEC

    async def vm_ended(self, vm_id: str, _reason: str, holds: Callable[[], bool]) -> None:
        assert holds()
        self.ended.append(vm_id)

    async def supervisor_given_up(
        self, vm_id: str, _reason: str, _holds: Callable[[], bool]
    ) -> None:
        self.given_up.append(vm_id)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def supervisors(paths: Paths, told: Told) -> Supervisors:
    make_private(paths.run)
    make_private(paths.vm_run(VM.id))
    make_private(paths.vm_state(VM.id))
    spare = Spare(paths.logs / "vm_supervisor.err", told.spawn)
    return Supervisors(paths, Log(paths.log_file("api"), "api"), told, told.spawn, spare)


@pytest.fixture(autouse=True)
def no_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that is started here ends at once, and is found out."""
    monkeypatch.setattr(sys, "executable", "/bin/false")


def test_a_new_api_that_is_asked_before_it_recovers_finds_the_one_that_lives(paths: Paths) -> None:
    async def ask() -> None:
        found = supervisors(paths, told := Told())
        with program(HOLD, str(paths.vm_state(VM.id) / files.LOCK)):
            async with asyncio.timeout(10):
                await found.ensure(SPEC)
            assert found.serves(VM.id)
            assert await found.recover([VM]) == []
            found.close()
        assert told.ended == []

    asyncio.run(ask())


def test_the_one_with_the_lock_takes_the_place_of_one_that_was_taken_for_it(paths: Paths) -> None:
    async def ask() -> None:
        lock = paths.vm_state(VM.id) / files.LOCK
        found = supervisors(paths, told := Told())
        with program(HOLD, str(lock.with_name("other"))) as duplicate:
            found.on_ready(VM.id, duplicate.pid)
            with program(HOLD, str(lock)):
                assert await found.recover([VM]) == []
                duplicate.kill()
                duplicate.wait()
                async with asyncio.timeout(10):
                    await asyncio.wait(told.tasks, return_when=asyncio.FIRST_COMPLETED)
                assert found.serves(VM.id)
                assert told.ended == []
                found.close()

    asyncio.run(ask())


def test_the_end_of_a_supervisor_without_a_vmm_is_told(paths: Paths) -> None:
    async def ask() -> None:
        found = supervisors(paths, told := Told())
        with program(HOLD, str(paths.vm_state(VM.id) / files.LOCK)) as alive:
            assert await found.recover([VM]) == []
            alive.kill()
            async with asyncio.timeout(10):
                await found.ended(VM.id)
                await asyncio.gather(*told.tasks)
        assert told.ended == [VM.id]
        found.close()

    asyncio.run(ask())


def test_the_end_that_a_supervisor_has_announced_is_not_told_again(paths: Paths) -> None:
    async def ask() -> None:
        found = supervisors(paths, told := Told())
        with program(HOLD, str(paths.vm_state(VM.id) / files.LOCK)) as alive:
            assert await found.recover([VM]) == []
            found.conclude(VM.id)
            alive.kill()
            async with asyncio.timeout(10):
                await asyncio.gather(*told.tasks)
        assert told.ended == []
        assert not found.knows(VM.id)
        found.close()

    asyncio.run(ask())


def test_a_vmm_that_ends_before_its_successor_is_started_gets_none(paths: Paths) -> None:
    """A delete may have ended it: a supervisor would make the VM's directories again."""

    class Ending(Told):
        async def spec_of(self, vm_id: str) -> SupervisorSpec:
            remove_handle(paths.vm_run(vm_id))
            return await super().spec_of(vm_id)

    async def ask() -> None:
        found = supervisors(paths, told := Ending())
        write_handle(paths.vm_run(VM.id), own_handle())
        with program(HOLD, str(paths.vm_state(VM.id) / files.LOCK)) as alive:
            assert await found.recover([VM]) == []
            alive.kill()
            async with asyncio.timeout(10):
                await found.ended(VM.id)
                await asyncio.gather(*told.tasks)
        assert told.ended == [VM.id]
        assert "supervisor started" not in paths.log_file("api").read_text()
        found.close()

    asyncio.run(ask())
