"""``vm.exec``: passed on to the supervisor of a VM that runs."""

import pytest

from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.fakes.scene import Scene, play


def test_a_running_vms_supervisor_is_asked(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running("web")
            done = await scene.bus.ask(api.VM_EXEC(ref="web", text="set -- id", stdin=b"in"))
            assert (done.status, done.stdout) == (42, b"set -- id in")

    play(act())


def test_a_vm_that_does_not_run_is_said_so(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running("web")
            await scene.bus.ask(api.VM_STOP(ref="web", timeout=1.0))
            with pytest.raises(BangerError) as raised:
                await scene.bus.ask(api.VM_EXEC(ref="web", text=""))
            assert raised.value.code is Code.NOT_RUNNING
            assert vm.name in raised.value.message

    play(act())
