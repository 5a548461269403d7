"""What is stored of VMs that could not say it themselves."""

from typing import Any

import pytest

from services.api.machines import corrections
from shared.contract.messages.vm import State
from shared.contract.verbs import store, supervisor
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from tests.example import example_vm
from tests.fakes.saved import save_machine
from tests.fakes.scene import Scene, play

FULL = BangerError(Code.NO_SPACE, "the disk is full")
ID = example_vm().id


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "STORE_INTERVAL", 0.001)
    monkeypatch.setattr(corrections, "LOST_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [("running", "stopped"), ("starting", "stopped"), ("failed", "failed"), ("created", "created")],
)
def test_only_a_row_that_claims_to_run_is_corrected(
    paths: Paths, before: State, after: State
) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state=before)) as scene:
            await scene.context.corrections.vm_ended(ID, "it ended", lambda: True)
            assert scene.row().state == after
            assert scene.row().reason == ("it ended" if before != after else "")

    play(act())


@pytest.mark.parametrize("keeper", ["template", "pool"])
def test_a_vm_that_services_keep_is_removed_when_it_has_ended(paths: Paths, keeper: Any) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(name=ID, state="paused", keeper=keeper)) as scene:
            (paths.vm_state(ID)).mkdir(parents=True)
            (paths.vm_state(ID) / files.OVERLAY).touch()
            await scene.context.corrections.vm_ended(ID, "it ended", lambda: True)
            assert (scene.store.vms, paths.vm_state(ID).exists()) == ({}, False)

    play(act())


def test_a_store_in_trouble_is_asked_until_it_has_heard(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="running")) as scene:
            scene.bus.troubles["store vm.update"] += [FULL, FULL]
            await scene.context.corrections.supervisor_given_up(ID, "too often", lambda: True)
            assert (scene.row().state, scene.row().reason) == ("failed", "too often")
            assert scene.bus.verbs() == ["store vm.update"] * 3

    play(act())


def test_nothing_is_stored_of_what_does_not_hold_any_more(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="running")) as scene:
            answers = iter([True, False])
            scene.bus.troubles["store vm.update"].append(FULL)
            await scene.context.corrections.vm_ended(ID, "it ended", lambda: next(answers))
            assert scene.row().state == "running"
            await scene.context.corrections.vm_ended("nobody", "it ended", lambda: True)

    play(act())


def test_rows_are_given_as_soon_as_the_store_is_there(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            away = BangerError(Code.UNAVAILABLE, "not yet")
            scene.bus.troubles["store vm.list"] += [away, away]
            scene.bus.troubles["store vm.get"].append(away)
            assert [vm.id for vm in await scene.context.corrections.rows()] == [ID]
            spec = await scene.context.corrections.spec_of(ID)
            assert (spec.vm, spec.image) == (example_vm(), str(paths.images / "i"))

    play(act())


def test_a_name_that_begins_like_the_id_of_a_deleted_vm_is_not_taken_for_it(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(id="f" * 12, name=f"{ID}-2")) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.context.corrections.row(ID)
            assert refused.value.code is Code.NOT_FOUND

    play(act())


@pytest.mark.parametrize("told", ["running", "paused", "stopping"])
def test_a_stop_that_may_not_have_been_heard_is_stored_as_the_supervisor_says(
    paths: Paths, told: State
) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            scene.supervisor().state = told
            await scene.bus.ask(store.VM_UPDATE(id=vm.id, state="stopping"))
            await scene.context.corrections.stop_not_heard("beta")
            assert scene.row().state == told

    play(act())


def test_a_stop_of_a_vm_without_a_supervisor_is_left_to_its_end(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="stopping")) as scene:
            await scene.context.corrections.stop_not_heard("beta")
            await scene.context.corrections.stop_not_heard("nobody")
            assert scene.row().state == "stopping"

    play(act())


def test_a_row_that_is_not_stopping_is_not_asked_about(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            await scene.context.corrections.stop_not_heard("beta")
            assert f"vm {supervisor.STATE.name}" not in scene.bus.verbs()

    play(act())


def test_a_vm_whose_memory_is_on_disk_is_suspended(paths: Paths) -> None:
    async def act() -> None:
        vm = example_vm(state="running")
        save_machine(paths.vm_state(ID) / files.SUSPENDED, vm, disks=False)
        async with Scene(paths, vm) as scene:
            await scene.context.corrections.vm_ended(ID, "it ended", lambda: True)
            assert (scene.row().state, scene.row().reason) == ("suspended", "")

    play(act())


def test_a_copy_that_is_being_made_is_left_to_whoever_makes_it(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="starting", origin="fork of alpha")) as scene:
            with scene.context.machines.expected(ID):
                await scene.context.corrections.vm_ended(ID, "it ended", lambda: True)
            assert ID in scene.store.vms

    play(act())


@pytest.mark.parametrize("has_disks", [False, True])
@pytest.mark.parametrize("origin", ["", "fork of alpha"])
def test_a_copy_that_never_had_disks_is_removed(
    paths: Paths, *, has_disks: bool, origin: str
) -> None:
    async def act() -> None:
        paths.vm_state(ID).mkdir(parents=True)
        if has_disks:
            (paths.vm_state(ID) / files.OVERLAY).touch()
        async with Scene(paths, example_vm(state="starting", origin=origin)) as scene:
            await scene.context.corrections.vm_ended(ID, "it ended", lambda: True)
            removed = bool(origin) and not has_disks
            assert (ID in scene.store.vms, paths.vm_state(ID).exists()) == (
                *(not removed, not removed),
            )

    play(act())
