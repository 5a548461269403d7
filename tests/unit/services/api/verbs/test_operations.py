"""What makes a verb an operation, and the verbs about operations."""

import asyncio
from contextlib import nullcontext

import pytest

from services.api.operations import Operations
from services.api.verbs.operations import under_way
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.example import example_vm
from tests.fakes.bus import FakeCall
from tests.fakes.scene import Scene, play, settled


@pytest.mark.parametrize(
    ("failure", "state", "code"),
    [
        (None, "done", ""),
        (BangerError(Code.GUEST_FAILED, "no"), "failed", "guest_failed"),
        (ValueError("a bug"), "failed", "internal"),
        (asyncio.CancelledError(), "cancelled", "cancelled"),
    ],
)
def test_an_operation_ends_as_what_is_in_it(
    failure: BaseException | None, state: str, code: str
) -> None:
    async def act() -> None:
        operations = Operations()
        with pytest.raises(type(failure)) if failure else nullcontext():
            async with under_way(operations, FakeCall(), "vm.start", "beta"):
                if failure:
                    raise failure
        (operation,) = operations.list()
        assert (operation.verb, operation.subject) == ("vm.start", "beta")
        assert (operation.state, operation.code) == (state, code)

    play(act())


def test_one_whose_deadline_has_passed_was_not_done_in_time() -> None:
    async def act() -> None:
        operations = Operations()
        with pytest.raises(asyncio.CancelledError):
            async with under_way(operations, FakeCall(deadline=1.0), "vm.start", "beta"):
                raise asyncio.CancelledError
        assert operations.list()[0].message == "vm.start beta was not done in time"

    play(act())


def test_progress_of_the_call_is_that_of_the_operation() -> None:
    async def act() -> None:
        operations, call = Operations(), FakeCall()
        async with under_way(operations, call, "vm.start", "beta"):
            call.progress("boot", "booting")
            assert operations.list()[0].message == "booting"

    play(act())


def test_a_cancel_that_is_repeated_does_not_cut_the_first_short() -> None:
    async def act() -> None:
        operations, call, undone = Operations(), FakeCall(), asyncio.Event()

        async def slow() -> None:
            async with under_way(operations, call, "vm.start", "beta"):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    await undone.wait()
                    raise

        running = asyncio.create_task(slow())
        await settled(operations.list)
        (operation,) = operations.list()
        cancels = [
            asyncio.create_task(operations.cancelled(operation, call.deadline)) for _ in range(2)
        ]
        await asyncio.wait([running], timeout=0.05)
        assert not operation.ended_at
        undone.set()
        await asyncio.gather(*cancels)
        assert operation.state == "cancelled"
        await asyncio.wait([running])

    play(act())


def test_an_operation_is_listed_shown_and_cancelled(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            scene.spare.setup = lambda supervisor: setattr(supervisor, "held", asyncio.Event())
            starting = asyncio.ensure_future(scene.bus.ask(api.VM_START(ref="beta")))
            await settled(lambda: "vm machine.start" in scene.bus.verbs())
            (listed,) = (await scene.bus.ask(api.OPS_LIST())).operations
            assert (await scene.bus.ask(api.OPS_SHOW(ref=listed.id[:8]))) == listed
            assert listed.state == "running"
            cancelled = await scene.bus.ask(api.OPS_CANCEL(ref=listed.id))
            assert cancelled.state == "cancelled"
            with pytest.raises(asyncio.CancelledError):
                await starting
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.OPS_CANCEL(ref=listed.id))
            assert refused.value.code is Code.CONFLICT

    play(act())
