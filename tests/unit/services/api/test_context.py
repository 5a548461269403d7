"""What every verb stands on: rows held against what runs, and one at a time for each VM."""

import asyncio

import pytest

from shared.config import Config
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.example import example_vm
from tests.fakes.scene import Scene, play

VM = example_vm(state="running")


def test_a_row_that_claims_to_run_is_held_against_what_runs(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, VM) as scene:
            assert (await scene.context.find("beta")).state == "stopped"
            assert [vm.state for vm in await scene.context.rows()] == ["stopped"]
            assert scene.context.view(VM).vm.reason == "its VMM is gone"
            assert not scene.context.runs(VM.id)

    play(act())


def test_the_first_one_works_on_the_row_that_it_has_found(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, VM) as scene:
            async with scene.context.exclusively(VM) as vm:
                assert vm is VM
            assert scene.bus.verbs() == []

    play(act())


def test_one_that_had_to_wait_works_on_the_row_as_it_is_then(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, VM) as scene:
            entered = asyncio.Event()

            async def second() -> str:
                entered.set()
                async with scene.context.exclusively(VM) as vm:
                    return vm.name

            async with scene.context.exclusively(VM):
                waiting = asyncio.ensure_future(second())
                await entered.wait()
                scene.store.vms[VM.id] = example_vm(name="gamma")
            assert await waiting == "gamma"

    play(act())


def test_a_use_that_cannot_be_noted_harms_nobody(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, VM) as scene:
            scene.bus.troubles["store vm.touch"].append(BangerError(Code.BUSY, "locked"))
            await scene.context.touch(VM.id)
            assert scene.row().touched_at == ""
            await scene.context.touch(VM.id)
            assert scene.row().touched_at

    play(act())


@pytest.mark.parametrize(
    ("network", "state", "asked"),
    [("user", "running", 0), ("bridge", "stopped", 0), ("bridge", "running", 1)],
)
def test_nat_is_asked_for_vms_that_run_on_the_bridge(
    paths: Paths, network: str, state: str, asked: int
) -> None:
    async def act() -> None:
        async with Scene(paths, config=Config(network="bridge")) as scene:
            await scene.context.apply_network(example_vm(network=network, state=state))
            assert scene.nat.applied == asked
            scene.bus.troubles["nat nat.apply"].append(BangerError(Code.DENIED, "no"))
            if asked:
                with pytest.raises(BangerError, match="no") as refused:
                    await scene.context.apply_network(example_vm(network=network, state=state))
                assert refused.value.hint.startswith("the change is stored")

    play(act())
