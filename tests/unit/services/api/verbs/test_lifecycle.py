"""Start, stop, restart, kill, pause, resume, delete: what is asked, stored and answered."""

import asyncio
import signal
from typing import Any

import pytest

from services.api.verbs.lifecycle import signal_number
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import Vm
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from shared.vm.handle import read_handle
from tests.example import example_vm
from tests.fakes.saved import save_machine
from tests.fakes.scene import Scene, play, settled
from tests.fakes.supervisor import FakeSupervisor

LOST = BangerError(Code.UNAVAILABLE, "the connection to the broker was lost")


def test_a_stopped_vm_is_started(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="stopped")) as scene:
            shown = await scene.bus.ask(api.VM_START(ref="be"))
            assert shown.vm.state == "running"
            assert shown.access
            await settled(lambda: scene.row().touched_at)
            states = [body.state for verb, body in scene.bus.asked if verb == "store vm.update"]
            assert states == ["starting", "running"]
            (operation,) = scene.context.operations.list()
            assert (operation.verb, operation.subject, operation.state) == (
                *("vm.start", "beta", "done"),
            )

    play(act())


def test_a_running_vm_is_started_by_doing_nothing(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            assert (await scene.bus.ask(api.VM_START(ref="beta"))).vm.id == vm.id
            assert scene.bus.verbs() == ["api vm.start", "store vm.get"]

    play(act())


@pytest.mark.parametrize("state", ["stopped", "running"])
def test_a_start_that_waits_for_the_system_asks_the_guest_for_it(paths: Paths, state: str) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="stopped")) as scene:
            if state == "running":
                await scene.bus.ask(api.VM_START(ref="beta"))
            assert "vm machine.await_system" not in scene.bus.verbs()
            await scene.bus.ask(api.VM_START(ref="beta", wait="system"))
            assert scene.bus.verbs().count("vm machine.await_system") == 1
            await scene.bus.ask(api.VM_RESTART(ref="beta", wait="system"))
            assert scene.bus.verbs().count("vm machine.await_system") == 2

    play(act())


def test_a_stop_asks_the_store_once_and_tells_how_it_ended(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            shown = await scene.bus.ask(api.VM_STOP(ref="beta"))
            assert (shown.vm.state, shown.pid) == ("stopped", None)
            assert scene.bus.verbs() == [
                "api vm.stop",
                "store vm.transition",
                "vm machine.stop",
                "store vm.update",
            ]
            assert scene.row().state == "stopped"
            assert not scene.context.supervisors.knows(shown.vm.id)

    play(act())


@pytest.mark.parametrize("state", ["created", "stopped"])
def test_a_vm_that_does_not_run_is_stopped_by_doing_nothing(paths: Paths, state: Any) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state=state)) as scene:
            assert (await scene.bus.ask(api.VM_STOP(ref="beta"))).vm.state == state
            assert scene.bus.verbs() == ["api vm.stop", "store vm.transition"]
            assert scene.row().state == state

    play(act())


def test_a_row_that_claims_to_run_is_corrected_by_a_stop(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="running")) as scene:
            shown = await scene.bus.ask(api.VM_STOP(ref="beta"))
            assert (shown.vm.state, shown.vm.reason) == ("stopped", "its VMM is gone")
            assert scene.row() == shown.vm

    play(act())


@pytest.mark.parametrize("before", ["running", "paused"])
def test_a_stop_that_reached_no_supervisor_is_taken_back(paths: Paths, before: str) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            if before == "paused":
                await scene.bus.ask(api.VM_PAUSE(ref="beta"))
            scene.bus.troubles["vm machine.stop"].append(BangerError(Code.TIMEOUT, "late"))
            with pytest.raises(BangerError, match="late"):
                await scene.bus.ask(api.VM_STOP(ref="beta"))
            await settled(lambda: scene.row().state == before)

    play(act())


def test_a_cancelled_stop_leaves_the_vm_running(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.supervisor().held = asyncio.Event()
            stopping = asyncio.ensure_future(scene.bus.ask(api.VM_STOP(ref="beta")))
            await settled(lambda: scene.supervisor().state == "stopping")
            assert scene.row().state == "stopping"
            stopping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopping
            await settled(lambda: scene.row().state == "running")
            assert scene.context.operations.list()[-1].state == "cancelled"

    play(act())


# -- cancelled by ``ops cancel`` -------------------------------------------------------------


async def cancel_running(scene: Scene) -> str:
    """Cancel what runs: the operation's state then, or the code of the refusal."""
    listed = scene.context.operations.list()[-1]
    assert listed.state == "running"
    try:
        return (await scene.bus.ask(api.OPS_CANCEL(ref=listed.id))).state
    except BangerError as error:
        return error.code.value


@pytest.mark.parametrize(
    ("too_late", "cancel", "after"),
    [(False, "cancelled", "running"), (True, "conflict", "stopped")],
)
def test_a_stop_is_cancelled_or_it_is_too_late_and_done(
    paths: Paths, too_late: bool, cancel: str, after: str
) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.supervisor().held, scene.supervisor().too_late = asyncio.Event(), too_late
            stopping = asyncio.ensure_future(scene.bus.ask(api.VM_STOP(ref="beta")))
            await settled(lambda: scene.supervisor().state == "stopping")
            assert await cancel_running(scene) == cancel
            assert scene.row().state == after
            if too_late:
                assert (await stopping).vm.state == after
            else:
                with pytest.raises(asyncio.CancelledError):
                    await stopping

    play(act())


@pytest.mark.parametrize(("too_late", "after"), [(False, "running"), (True, "stopped")])
def test_a_restart_that_is_cancelled_while_it_stops_does_not_start(
    paths: Paths, too_late: bool, after: str
) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.supervisor().held, scene.supervisor().too_late = asyncio.Event(), too_late
            restarting = asyncio.ensure_future(scene.bus.ask(api.VM_RESTART(ref="beta")))
            await settled(lambda: scene.supervisor().state == "stopping")
            assert await cancel_running(scene) == "cancelled"
            assert (scene.row().state, len(scene.spare.given)) == (after, 1)
            with pytest.raises((asyncio.CancelledError, BangerError)) as ended:
                await restarting
            if too_late:
                assert "beta is stopped" in str(ended.value)

    play(act())


@pytest.mark.parametrize("verb", [api.VM_START, api.VM_RESTART])
@pytest.mark.parametrize(
    ("too_late", "cancel", "after"),
    [(False, "cancelled", "stopped"), (True, "conflict", "running")],
)
def test_a_boot_is_cancelled_or_it_is_too_late_and_done(
    paths: Paths, verb: Any, too_late: bool, cancel: str, after: str
) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="stopped")) as scene:
            scene.spare.setup = lambda given: hold(given, too_late)
            booting = asyncio.ensure_future(scene.bus.ask(verb(ref="beta")))
            await settled(lambda: scene.row().state == "starting")
            assert await cancel_running(scene) == cancel
            assert scene.row().state == after
            await asyncio.wait([booting])

    play(act())


def hold(given: FakeSupervisor, too_late: bool) -> None:
    given.held, given.too_late = asyncio.Event(), too_late


@pytest.mark.parametrize(("verb", "left"), [(api.VM_KILL, ["beta"]), (api.VM_DELETE, [])])
def test_what_cannot_be_taken_back_is_completed(paths: Paths, verb: Any, left: list[str]) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            asked = asyncio.ensure_future(scene.bus.ask(verb(ref="beta")))
            await settled(lambda: "vm machine.kill" in scene.bus.verbs())
            asked.cancel()
            assert (await asked).vm.name == "beta"
            assert [vm.name for vm in scene.store.vms.values()] == left
            assert all(vm.state == "stopped" for vm in scene.store.vms.values())

    play(act())


# -- restart, kill, pause -------------------------------------------------------------------


def test_a_stop_goes_on_at_the_next_broker(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.bus.troubles["vm machine.stop"] += [LOST, LOST]
            assert (await scene.bus.ask(api.VM_STOP(ref="beta"))).vm.state == "stopped"

    play(act())


def test_a_restart_is_a_stop_and_a_start(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            shown = await scene.bus.ask(api.VM_RESTART(ref="beta"))
            assert shown.vm.state == scene.row().state == "running"
            assert len(scene.spare.given) == 2
            states = [body.state for verb, body in scene.bus.asked if verb == "store vm.update"]
            assert states == ["stopping", "stopped", "starting", "running"]

    play(act())


@pytest.mark.parametrize(
    ("name", "after"), [("KILL", "stopped"), ("SIGTERM", "stopped"), ("CONT", "running")]
)
def test_a_signal_is_sent_by_the_supervisor(paths: Paths, name: str, after: str) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            shown = await scene.bus.ask(api.VM_KILL(ref="beta", signal=name))
            assert shown.vm.state == scene.row().state == after

    play(act())


def test_a_vm_that_does_not_run_is_not_killed(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            assert (await scene.bus.ask(api.VM_KILL(ref="beta"))).vm.state == "stopped"
            assert scene.bus.verbs() == ["api vm.kill", "store vm.get"]

    play(act())


def test_a_vm_pauses_and_goes_on(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            assert (await scene.bus.ask(api.VM_PAUSE(ref="beta"))).vm.state == "paused"
            scene.bus.asked.clear()
            assert (await scene.bus.ask(api.VM_RESUME(ref="beta"))).vm.state == "running"
            touched, resumed = (scene.bus.verbs().index(verb) for verb in TOUCHED_AND_RESUMED)
            assert touched < resumed, "or it would be found unused that moment"
            assert (await scene.bus.ask(api.VM_RESUME(ref="beta"))).vm.state == "running"

    play(act())


TOUCHED_AND_RESUMED = ("store vm.touch", "vm machine.resume")


@pytest.mark.parametrize("verb", [api.VM_PAUSE, api.VM_RESUME])
def test_what_the_table_refuses_reaches_no_supervisor(paths: Paths, verb: Any) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(verb(ref="beta"))
            assert refused.value.code is Code.NOT_RUNNING
            assert scene.bus.verbs()[1:] == ["store vm.get"]

    play(act())


# -- delete ---------------------------------------------------------------------------------


def test_a_running_vm_is_deleted_with_one_question_to_each(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            paths.vm_state(vm.id).mkdir(parents=True)
            shown = await scene.bus.ask(api.VM_DELETE(ref="beta"))
            assert (shown.vm.id, shown.vm.state) == (vm.id, "running")
            assert scene.bus.verbs() == [
                "api vm.delete",
                "store vm.get",
                "vm machine.kill",
                "store vm.remove",
            ]
            assert scene.store.vms == {}
            assert not paths.vm_run(vm.id).exists()
            assert not paths.vm_state(vm.id).exists()

    play(act())


def test_a_vm_that_the_name_only_begins_is_neither_deleted_nor_killed(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            for request in (api.VM_DELETE(ref="bet"), api.VM_KILL(ref="bet")):
                with pytest.raises(BangerError) as raised:
                    await scene.bus.ask(request)
                assert raised.value.code is Code.NOT_FOUND
                assert raised.value.hint == "write the whole name if you mean beta"
            assert scene.row().state == "running"
            await scene.bus.ask(api.VM_DELETE(ref=vm.id[:4]))
            assert scene.store.vms == {}

    play(act())


def test_a_row_that_could_not_be_removed_says_that_the_vm_has_stopped(paths: Paths) -> None:
    """The supervisor was asked not to store the end."""

    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.bus.troubles["store vm.remove"].append(BangerError(Code.NO_SPACE, "full"))
            with pytest.raises(BangerError, match="full"):
                await scene.bus.ask(api.VM_DELETE(ref="beta"))
            await settled(lambda: scene.row().state == "stopped")
            await scene.bus.ask(api.VM_DELETE(ref="beta"))
            assert scene.store.vms == {}

    play(act())


@pytest.mark.parametrize("state", ["starting", "running", "paused", "stopping"])
def test_a_vm_that_was_started_meanwhile_is_spared_when_asked_for(paths: Paths, state: Any) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            scene.store.vms[vm.id].state = state
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_DELETE(ref="beta", unless_live=True))
            assert refused.value.code is Code.CONFLICT
            assert f"it is {state}" in refused.value.message
            assert "vm machine.kill" not in scene.bus.verbs()
            assert scene.row()

    play(act())


def test_a_stopped_vm_is_not_spared(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            await scene.bus.ask(api.VM_DELETE(ref="beta", unless_live=True))
            assert scene.store.vms == {}

    play(act())


def test_a_start_that_waited_for_nothing_else_is_met_by_the_deletion(paths: Paths) -> None:
    """It had the VM's lock while the deletion waited for it."""

    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            lock = scene.context.machines.serialised(example_vm().id)
            await lock.acquire()
            deleting = asyncio.ensure_future(scene.bus.ask(api.VM_DELETE(ref="beta")))
            await settled(lambda: scene.bus.verbs()[-1:] == ["store vm.get"])
            await scene.context.supervisors.ensure(
                SupervisorSpec(vm=example_vm(), image="", kernel="")
            )
            lock.release()
            await deleting
            assert "vm machine.kill" in scene.bus.verbs()
            assert scene.store.vms == {}

    play(act())


def test_files_that_cannot_be_removed_are_named(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            place = paths.vm_state(example_vm().id)
            place.parent.mkdir(parents=True)
            place.write_text("no directory")
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_DELETE(ref="beta"))
            assert refused.value.code is Code.DENIED
            assert str(place) in refused.value.hint
            assert scene.store.vms == {}

    play(act())


def test_a_handle_is_gone_with_its_vm(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            assert read_handle(paths.vm_run(vm.id))
            await scene.bus.ask(api.VM_STOP(ref="beta"))
            assert read_handle(paths.vm_run(vm.id)) is None

    play(act())


# -- names of signals -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["KILL", "sigkill", "9"])
def test_a_signal_has_several_names(name: str) -> None:
    assert signal_number(name) is signal.SIGKILL


@pytest.mark.parametrize("name", ["", "NONE", "99", "-9"])
def test_what_is_no_signal_is_invalid(name: str) -> None:
    with pytest.raises(BangerError) as refused:
        signal_number(name)
    assert refused.value.code is Code.INVALID


# -- suspended ------------------------------------------------------------------------------


def suspended(paths: Paths) -> Vm:
    vm = example_vm(state="suspended")
    save_machine(paths.vm_state(vm.id) / files.SUSPENDED, vm, disks=False)
    return vm


def test_a_running_vm_is_suspended_once(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            for _ in range(2):
                shown = await scene.bus.ask(api.VM_SUSPEND(ref="beta"))
                assert shown.vm.state == scene.row().state == "suspended"
            assert scene.bus.verbs().count("vm machine.suspend") == 1
            assert scene.context.operations.list()[-1].verb == "vm.suspend"

    play(act())


def test_a_vm_that_does_not_run_cannot_be_suspended(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="stopped")) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_SUSPEND(ref="beta"))
            assert refused.value.code is Code.NOT_RUNNING

    play(act())


@pytest.mark.parametrize("verb", [api.VM_START, api.VM_RESUME])
def test_start_and_resume_bring_a_suspended_vm_back(paths: Paths, verb: Any) -> None:
    async def act() -> None:
        async with Scene(paths, suspended(paths)) as scene:
            shown = await scene.bus.ask(verb(ref="beta"))
            assert shown.vm.state == scene.row().state == "running"
            assert "vm machine.discard" not in scene.bus.verbs()
            (operation,) = scene.context.operations.list()
            assert operation.state == "done"

    play(act())


def test_memory_is_dropped_only_when_that_is_asked_for(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, suspended(paths)) as scene:
            for verb in (api.VM_STOP, api.VM_KILL):
                assert (await scene.bus.ask(verb(ref="beta"))).vm.state == "suspended"
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_RESTART(ref="beta"))
            assert refused.value.code is Code.CONFLICT
            shown = await scene.bus.ask(api.VM_START(ref="beta", discard_memory=True))
            assert shown.vm.state == "running"
            assert scene.bus.verbs().count("vm machine.discard") == 1

    play(act())


def test_a_vm_without_such_memory_is_started_all_the_same(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="stopped")) as scene:
            shown = await scene.bus.ask(api.VM_START(ref="beta", discard_memory=True))
            assert shown.vm.state == "running"
            assert "vm machine.discard" not in scene.bus.verbs()

    play(act())


def test_a_suspended_vm_is_deleted_with_its_memory(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, vm := suspended(paths)) as scene:
            await scene.bus.ask(api.VM_DELETE(ref="beta", unless_live=True))
            assert scene.store.vms == {}
            assert not paths.vm_state(vm.id).exists()

    play(act())


def test_a_suspended_vm_is_not_pruned(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, suspended(paths)) as scene:
            assert (await scene.bus.ask(api.VM_PRUNABLE())).vms == []

    play(act())
