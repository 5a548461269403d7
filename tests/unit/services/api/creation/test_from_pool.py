"""Who gets a VM of the pool, and what becomes of one that is of no use."""

import asyncio
from typing import Any

import pytest

from services.api.creation.from_pool import hand_over, take, waits
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.fakes.scene import Scene, play, settled
from tests.unit.services.api.creation.pool import KEY, caller, waiting, wanted

ONE, OTHER = "a" * 12, "b" * 12
REFUSED = BangerError(Code.GUEST_FAILED, "the guest does not answer")


async def taken(scene: Scene, **changes: Any) -> Vm:
    return await take(scene.context, wanted(scene, **changes), caller())


def test_the_vm_that_has_waited_longest_is_taken_and_runs(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            for vm_id in (ONE, OTHER):
                await waiting(scene, vm_id)
            scene.bus.asked.clear()
            vm = await taken(scene, lease="0" * 16)
            assert scene.bus.verbs() == ["store vm.claim", "vm machine.hand_over"]
            assert (vm.id, vm.name, vm.state, vm.from_pool) == (ONE, "web", "running", True)
            assert scene.store.vms[ONE] == vm
            assert scene.context.pool.waiting == {OTHER: KEY}
            assert not waits(scene.context, vm)

    play(act())


@pytest.mark.parametrize(
    "changes",
    [
        {"template": "another"},
        {"template": ""},
        {"allow": ["192.0.2.0/24"]},  # the filter is made with the VM
    ],
)
def test_a_vm_of_another_kind_gets_a_row_of_its_own(paths: Paths, changes: dict[str, Any]) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await waiting(scene, ONE)
            vm = await taken(scene, **changes)
            assert (vm.id, vm.state, vm.template) == ("f" * 12, "starting", "")
            assert scene.context.pool.has(KEY)

    play(act())


def test_a_pool_that_is_empty_after_all_is_not_asked_again(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.context.pool.add(ONE, KEY)
            assert (await taken(scene)).id == "f" * 12
            scene.bus.asked.clear()
            await taken(scene, name="more")
            assert scene.bus.verbs() == ["store vm.reserve"]

    play(act())


def test_one_that_is_of_no_use_is_gone_and_the_next_one_is_taken(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            for vm_id in (ONE, OTHER):
                await waiting(scene, vm_id)
            scene.spare.given[0].failure = REFUSED
            assert (await taken(scene)).id == OTHER
            assert list(scene.store.vms) == [OTHER]
            assert not paths.vm_run(ONE).exists()

    play(act())


def test_when_all_are_of_no_use_a_row_is_made(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await waiting(scene, ONE)
            gone = BangerError(Code.UNAVAILABLE, "its supervisor was killed")
            scene.bus.troubles["vm machine.hand_over"] = [gone]
            vm = await taken(scene)
            assert (vm.id, vm.name, vm.state) == ("f" * 12, "web", "starting")

    play(act())


def test_a_name_that_is_taken_leaves_the_pool_as_it_is(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await waiting(scene, ONE)
            await scene.running("web")
            with pytest.raises(BangerError) as caught:
                await taken(scene)
            assert caught.value.code is Code.CONFLICT
            assert scene.context.pool.has(KEY)

    play(act())


def test_a_create_that_is_cancelled_takes_its_vm_with_it(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await waiting(scene, ONE)
            scene.spare.given[0].held = asyncio.Event()
            taking = asyncio.create_task(taken(scene))
            await settled(lambda: "vm machine.hand_over" in scene.bus.verbs())
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking
            assert scene.store.vms == {}

    play(act())


def test_the_next_api_hands_over_what_was_claimed(paths: Paths) -> None:
    """The client asks again: the claim is found again, whatever the new api knows of the pool."""

    async def act() -> None:
        async with Scene(paths) as scene:
            await waiting(scene, ONE)
            scene.spare.given[0].held = asyncio.Event()
            taking = asyncio.create_task(taken(scene))
            await settled(lambda: "vm machine.hand_over" in scene.bus.verbs())
            scene.context.stopping.set()
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking
            scene.context.stopping.clear()
            assert waits(scene.context, scene.store.vms[ONE])
            scene.spare.given[0].held = None
            vm = await taken(scene)
            assert (vm.id, waits(scene.context, vm)) == (ONE, False)

    play(act())


def test_one_that_cannot_be_removed_is_an_error(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await waiting(scene, ONE)
            scene.spare.given[0].failure = REFUSED
            scene.bus.troubles["store vm.remove"] = [BangerError(Code.NO_SPACE, "full")]
            with pytest.raises(BangerError) as caught:
                await hand_over(scene.context, vm, caller())
            assert caught.value.code is Code.GUEST_FAILED

    play(act())
