"""The row of a VM that is being made; what undoing it leaves is in test_create.py."""

from services.api.creation.reservation import reservation, reserve
from shared.contract.messages.vm import VmSpec
from shared.paths import Paths
from tests.example import example_vm
from tests.fakes.scene import Scene, play

SPEC = {name: getattr(example_vm(), name) for name in VmSpec.__struct_fields__}


def test_the_same_request_takes_the_same_row(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            for new_id in ("a" * 12, "b" * 12):
                wanted = reservation(scene.context, new_id, ["web"], "request", SPEC, starts=True)
                vm = await reserve(scene.context, wanted)
                assert (vm.id, vm.name, vm.state) == ("a" * 12, "web", "starting")
                assert vm.touched_at

    play(act())
