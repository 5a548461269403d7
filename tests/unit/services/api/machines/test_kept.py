"""VMs that nobody has asked for end with what they are kept for."""

from shared.contract.verbs import api
from shared.paths import Paths
from tests.example import example_vm
from tests.fakes.scene import SMALL, Scene, play

ONES = [example_vm(id=each * 12, name=each * 12, keeper="pool") for each in "ab"]


def test_those_that_are_meant_are_deleted_and_users_are_not(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, *ONES, example_vm()) as scene:
            await scene.context.kept.delete_all(lambda vm: vm.id == ONES[0].id)
            assert list(scene.store.vms) == [ONES[1].id, example_vm().id]

    play(act())


def test_one_that_runs_is_ended_and_its_files_are_gone(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = (await scene.bus.ask(api.VM_CREATE(name="beta", **SMALL))).vm
            scene.store.vms[vm.id].keeper = "pool"
            await scene.context.kept.close()
            assert scene.context.kept.closed
            assert (scene.store.vms, paths.vm_run(vm.id).exists()) == ({}, False)

    play(act())


def test_one_that_cannot_be_deleted_keeps_no_other(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, *ONES) as scene:
            place = paths.vm_state(ONES[0].id)
            place.parent.mkdir(parents=True)
            place.write_text("no directory")
            await scene.context.kept.close()
            assert scene.store.vms == {}  # row and files are removed whatever becomes of the other
            assert "kept VM not deleted" in paths.log_file("api").read_text()

    play(act())
