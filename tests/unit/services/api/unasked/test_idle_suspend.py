"""VMs that nobody uses are suspended, and come back when somebody does."""

import asyncio
from typing import Any

import pytest

from services.api.unasked import idle_suspend
from services.api.unasked.idle_suspend import IdleSuspend
from shared.config import Config
from shared.contract.messages.machine import Activity
from shared.contract.messages.vm import Vm
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm.asleep import read_asleep
from tests.fakes.scene import Scene, play, settled

LIMIT = 0.001
"""Seconds; any two looks are further apart."""


@pytest.fixture(autouse=True)
def used(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Sessions by the name of the run directory: a VM of another state directory may have the
    address at the moment."""
    found: dict[str, int] = {}
    monkeypatch.setattr(idle_suspend, "sessions", lambda run, *_: found.get(run.name, 0))
    return found


async def look(scene: Scene, **activity: Any) -> None:
    """Look once, at VMs that were quiet for a second."""
    for given in scene.spare.given:
        seen = given.activity
        given.activity = Activity(
            **{"at": seen.at + 1, "cpu_seconds": seen.cpu_seconds, "connections": 0} | activity
        )
    await IdleSuspend(scene.context).look()


async def fall_asleep(scene: Scene, name: str = "beta") -> Vm:
    vm = await scene.running(name, idle_suspend=LIMIT)
    for _ in range(3):
        await look(scene)
    assert scene.row(name).state == "suspended"
    return vm


def test_a_vm_that_nobody_uses_is_suspended_and_wakes_for_a_session(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await fall_asleep(scene)
            row = scene.row()
            assert (row.wakes, row.reason) == (True, "nobody used it for 0s")
            assert scene.context.supervisors.serves(vm.id), "its ports are held"
            shown = await scene.bus.ask(api.VM_SHOW(ref="beta"))
            assert (shown.vm.state, shown.vm.wakes, shown.access) == ("suspended", True, None)

            view = await scene.bus.ask(api.VM_ACCESS(ref="beta"))
            assert (view.vm.state, view.vm.wakes) == ("running", False)
            assert view.access
            assert read_asleep(paths.vm_state(vm.id)) is None

    play(act())


def test_looking_at_a_vm_does_not_wake_it(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await fall_asleep(scene)
            await scene.bus.ask(api.VM_LIST())
            await scene.bus.ask(api.VM_STATS(ref="beta"))
            await scene.bus.ask(api.VM_HEALTH(ref="beta"))
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_PORTS(ref="beta"))
            assert refused.value.code is Code.NOT_RUNNING
            assert scene.row().state == "suspended"

    play(act())


def test_a_command_by_the_agent_wakes_it_and_counts_as_work(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await fall_asleep(scene)
            told = await scene.bus.ask(api.VM_EXEC(ref="beta", text="id"))
            assert told.status == 42
            assert scene.context.at_work == {}
            with scene.context.working(scene.row(), "vm.exec"):
                for _ in range(3):
                    await look(scene)
            assert scene.row().state == "running"
            assert scene.context.idleness.awake[scene.row().id] == "vm.exec is under way"

    play(act())


@pytest.mark.parametrize(
    ("activity", "reason"),
    [
        ({"connections": 1}, "1 connection to its ports"),
        ({"inhibitor": "apt (systemd-inhibit)"}, "apt (systemd-inhibit)"),
    ],
)
def test_what_is_in_use_stays_awake_and_shows_why(
    paths: Paths, activity: dict[str, Any], reason: str
) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running(idle_suspend=LIMIT)
            for _ in range(3):
                await look(scene, **activity)
            shown = await scene.bus.ask(api.VM_SHOW(ref="beta"))
            assert (shown.vm.state, shown.awake) == ("running", reason)

    play(act())


def test_a_session_keeps_it_awake(paths: Paths, used: dict[str, int]) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running(idle_suspend=LIMIT)
            used[paths.vm_run(vm.id).name] = 1
            for _ in range(3):
                await look(scene)
            assert scene.row().state == "running"

    play(act())


def test_without_a_limit_nobody_is_suspended(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, config=Config(idle_suspend_after=LIMIT)) as scene:
            await scene.running("never", idle_suspend=0.0)
            await scene.running("default")
            await scene.running("own", idle_suspend=3600.0)
            for _ in range(3):
                await look(scene)
            states = [scene.row(name).state for name in ("never", "default", "own")]
            assert states == ["running", "suspended", "running"]

    play(act())


def test_a_vm_that_cannot_be_suspended_runs_on_and_says_so(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running(idle_suspend=LIMIT)
            scene.supervisor().failure = BangerError(Code.NO_SPACE, "no space left")
            for _ in range(3):
                await look(scene)
            assert scene.row().state == "running"
            reason = scene.context.idleness.awake[vm.id]
            assert reason == "it cannot be suspended: no space left"
            assert not scene.context.falling_asleep

    play(act())


def test_whoever_comes_while_it_falls_asleep_waits_and_wakes_it(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running(idle_suspend=LIMIT)
            scene.supervisor().held = held = asyncio.Event()
            await look(scene)
            looking = asyncio.create_task(look(scene))
            await settled(lambda: vm.id in scene.context.falling_asleep)
            coming = asyncio.create_task(scene.bus.ask(api.VM_ACCESS(ref="beta")))
            await asyncio.sleep(0)
            held.set()
            await looking
            assert (await coming).vm.state == "running"

    play(act())


def test_a_person_who_suspends_a_sleeping_vm_keeps_it_where_it_is(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await fall_asleep(scene)
            shown = await scene.bus.ask(api.VM_SUSPEND(ref="beta"))
            assert (shown.vm.state, scene.row().wakes) == ("suspended", False)
            assert read_asleep(paths.vm_state(vm.id)) is None
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_ACCESS(ref="beta"))
            assert refused.value.code is Code.NOT_RUNNING

    play(act())


def test_the_watch_sleeps_until_a_vm_has_a_limit(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            watch = asyncio.create_task(IdleSuspend(scene.context).run())
            await scene.running()
            await settled(lambda: not scene.context.limits_changed.is_set())
            assert scene.context.idleness.awake == {}
            scene.supervisor().activity = Activity(at=1.0, cpu_seconds=0.0, connections=1)
            await scene.bus.ask(api.VM_SET(ref="beta", idle_suspend=0.02))
            await settled(lambda: scene.context.idleness.awake)
            watch.cancel()

    play(act())
