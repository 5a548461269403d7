"""Nobody is refused memory that a VM without a user has."""

import pytest

from services.api.creation.from_pool import take
from services.api.creation.give_back import give_back, require_room
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.fakes.scene import Scene, play
from tests.unit.services.api.creation.pool import KEY, caller, waiting, wanted

ONE, OTHER = "a" * 12, "b" * 12
NO_MEMORY = BangerError(Code.NO_SPACE, "not enough memory", details={"needed": 2, "available": 1})
NO_DISK = BangerError(Code.NO_SPACE, "not enough space")


def test_it_is_given_back_one_by_one_until_there_is_room(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            for vm_id in (ONE, OTHER):
                await waiting(scene, vm_id)

            def check() -> None:
                if ONE in scene.store.vms:
                    raise NO_MEMORY

            await require_room(scene.context, check)
            assert list(scene.store.vms) == [OTHER]
            assert scene.context.pool.waiting == {OTHER: KEY}

    play(act())


@pytest.mark.parametrize(("trouble", "left"), [(NO_MEMORY, 0), (NO_DISK, 1)])
def test_what_is_missing_then_is_an_error(paths: Paths, trouble: BangerError, left: int) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await waiting(scene, ONE)

            def check() -> None:
                raise trouble

            with pytest.raises(BangerError) as caught:
                await require_room(scene.context, check)
            assert caught.value is trouble
            assert len(scene.store.vms) == left

    play(act())


def test_one_that_a_user_has_got_meanwhile_stays(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await waiting(scene, ONE)
            vm = await take(scene.context, wanted(scene), caller())
            await give_back(scene.context, vm.id)
            await give_back(scene.context, OTHER)  # it has ended
            assert scene.store.vms == {ONE: vm}

    play(act())
