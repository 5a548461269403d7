"""A pool for tests: VMs that wait, and what is wanted of them."""

from typing import Any

from services.api.creation.reservation import reservation, reserve
from services.api.machines.control import Caller
from shared.contract.messages.rows import VmReserve
from shared.contract.messages.vm import Vm
from tests.fakes.bus import FakeCall
from tests.fakes.scene import SMALL, Scene

KEY = "0123456789abcdef"
SPEC: dict[str, Any] = SMALL | {"image_id": "i", "image_name": "debian", "kernel_id": "k"}


def caller() -> Caller:
    return FakeCall()


async def waiting(scene: Scene, vm_id: str, key: str = KEY) -> Vm:
    """A VM that waits in the pool, as the api knows."""
    spec = SPEC | {"keeper": "pool", "template": key}
    row = reservation(scene.context, vm_id, [vm_id], f"pool-{vm_id}", spec, starts=True)
    vm = await reserve(scene.context, row)
    told = await scene.context.machines.boot(vm, caller(), is_new=True)
    assert told.state == "paused"
    scene.context.pool.add(vm.id, key)
    return scene.store.vms[vm.id]


def wanted(scene: Scene, name: str = "web", **changes: Any) -> VmReserve:
    """What a create of ``name`` reserves."""
    spec = SPEC | {"template": KEY} | changes
    return reservation(scene.context, "f" * 12, [name], f"create-{name}", spec, starts=True)
