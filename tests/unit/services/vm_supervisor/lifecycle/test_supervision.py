"""What becomes of a VM whose VMM was taken over, with a scripted launcher and VMM."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from services.vm_supervisor.drivers.contract import ExitReason, Machine, VmmExit
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.launch.launcher import VmmLauncher
from services.vm_supervisor.lifecycle import supervision as under_test
from services.vm_supervisor.lifecycle.supervision import Supervision
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.running_vm import RunningVm
from shared.config import Config
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import LONGEST_REASON, Publication, State, Vm
from shared.errors import BangerError, Code
from shared.host.retry import poll_async
from shared.logs import Log
from shared.paths import Paths
from shared.vm.handle import write_handle
from shared.vmm.qemu.info import Qemu
from tests.example import example_vm
from tests.unit.shared.vm.test_handle import own_handle

SECONDS = 10.0
HOST = "127.77.255.8"


class ScriptedNetwork:
    """Remembers what it was told; ``trouble`` is raised where the way out is opened or closed."""

    def __init__(self, trouble: BangerError | None = None) -> None:
        self.uplink: list[bool] = []
        self.forwards: list[int] = []
        self.trouble = trouble

    async def set_uplink(self, *, on: bool, literal: Sequence[str] = ()) -> None:
        self.uplink.append(on)
        if self.trouble:
            raise self.trouble

    async def add_forward(self, forward: Forward) -> None:
        self.forwards.append(forward.port)

    async def remove_forward(self, forward: Forward) -> None:
        self.forwards.remove(forward.port)


class ScriptedMachine:
    """A VMM that ends when the test says so; its guest's agent never answers."""

    def __init__(self, absent: Path, network: ScriptedNetwork) -> None:
        self.user_network = network
        self.agent = AgentAddress(absent)
        self.signals: list[signal.Signals] = []
        self._end: asyncio.Future[VmmExit] = asyncio.get_running_loop().create_future()

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        self.signals.append(signum)

    def end(self, reason: ExitReason, detail: str = "it ended") -> None:
        self._end.set_result(VmmExit(reason, detail))

    async def ended(self) -> VmmExit:
        return await asyncio.shield(self._end)

    async def close(self) -> None:
        pass


class ScriptedLauncher:
    """Adopts ``machine``; each launch raises the next one of ``troubles``, or waits."""

    def __init__(self, paths: Paths, machine: ScriptedMachine | None) -> None:
        self.paths = paths
        self.troubles: Iterator[BangerError] = iter(())
        self.launching = asyncio.Event()
        self._machine = machine

    async def adopt(self, handle: Any) -> RunningVm:
        machine = cast(Machine, self._machine)
        return RunningVm(machine, handle, Qemu())

    async def launch(self, *_: Any) -> RunningVm:
        self.launching.set()
        for trouble in self.troubles:
            raise trouble
        await asyncio.Event().wait()
        raise AssertionError("never")


class Bench:
    """A supervision and what it told."""

    def __init__(
        self,
        root: Path,
        *,
        machine: bool,
        trouble: BangerError | None = None,
        ran_before: bool = True,
        state: State | None = None,
    ) -> None:
        names = ("config", "data", "state", "run")
        paths = Paths(**{name: root / name for name in names})
        claimed = state or ("running" if machine else "stopped")
        self.vm = example_vm(state=claimed, nat=False)
        run = paths.vm_run(self.vm.id)
        run.mkdir(parents=True)
        self.network = ScriptedNetwork(trouble)
        self.machine = ScriptedMachine(root / "absent", self.network)
        self.launcher = ScriptedLauncher(paths, self.machine)
        if machine:
            handle = own_handle()
            handle.ready = True
            write_handle(run, handle)
        self.told: list[tuple[State, str]] = []
        self.left = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.supervision = Supervision(
            SupervisorSpec(vm=self.vm, image="i", kernel="k", ran_before=ran_before),
            Config(),
            cast(VmmLauncher, self.launcher),
            Log(root / "log", "test"),
            self,
        )

    async def store_state(self, state: State, reason: str) -> None:
        self.told.append((state, reason))

    async def leave(self) -> None:
        self.left.set()

    def spawn(self, task: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self._tasks.append(asyncio.create_task(task))
        return self._tasks[-1]

    async def close(self) -> None:
        await self.supervision.let_go()
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not [each for each in results if isinstance(each, Exception)]


def scenario(
    root: Path,
    play: Callable[[Bench], Coroutine[Any, Any, None]],
    *,
    machine: bool = True,
    trouble: BangerError | None = None,
    ran_before: bool = True,
    state: State | None = None,
) -> None:
    async def played() -> None:
        bench = Bench(root, machine=machine, trouble=trouble, ran_before=ran_before, state=state)
        try:
            async with asyncio.timeout(SECONDS):
                await bench.supervision.take_over()
                await play(bench)
        finally:
            await bench.close()

    asyncio.run(played())


def test_reboot_of_a_guest_waits_for_a_service_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "RELAUNCH_PAUSE", 0.0)
    away = BangerError(Code.UNAVAILABLE, "nat is not there")

    async def play(bench: Bench) -> None:
        bench.launcher.troubles = iter([away, away, BangerError(Code.NOT_FOUND, "no kernel")])
        bench.machine.end(ExitReason.REBOOT)
        await bench.left.wait()
        assert bench.told[-1] == ("failed", "no kernel")

    scenario(tmp_path, play)


def test_reason_that_quotes_a_guest_is_cut_and_printable(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.machine.end(ExitReason.PANIC, "Kernel panic \x1b[2J" + "A" * 48_000)
        await bench.left.wait()
        state, reason = bench.told[-1]
        assert state == "failed"
        assert len(reason) == LONGEST_REASON
        assert reason.isprintable()

    scenario(tmp_path, play)


def test_reboot_that_is_stopped_meanwhile_has_not_failed(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.machine.end(ExitReason.REBOOT)
        await bench.launcher.launching.wait()
        await bench.supervision.stop(SECONDS)
        assert bench.told[-1] == ("stopped", "")

    scenario(tmp_path, play)


def test_signal_that_ends_no_vmm_does_not_end_a_boot(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        starting = asyncio.create_task(bench.supervision.start(lambda _stage, _words: None))
        await bench.launcher.launching.wait()
        with pytest.raises(BangerError) as caught:
            await bench.supervision.kill(signal.SIGCONT)
        assert caught.value.code is Code.NOT_RUNNING
        assert not starting.done()
        await bench.supervision.kill(signal.SIGTERM)
        await bench.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await starting

    scenario(tmp_path, play, machine=False)


@pytest.mark.parametrize("state", ["running", "paused", "stopping", "starting", "stopped"])
def test_start_of_a_vm_whose_vmm_ended_with_its_supervisor_boots(
    tmp_path: Path, state: State
) -> None:
    """The row still says ``running`` when the next supervisor is there before the correction."""

    async def play(bench: Bench) -> None:
        starting = asyncio.create_task(bench.supervision.start(lambda _stage, _words: None))
        await bench.launcher.launching.wait()
        await bench.supervision.kill(signal.SIGKILL)
        with pytest.raises(asyncio.CancelledError):
            await starting

    scenario(tmp_path, play, machine=False, state=state)


@pytest.mark.parametrize("trouble", [None, BangerError(Code.INTERNAL, "QEMU refused netdev_add")])
def test_way_out_of_a_guest_taken_over_is_what_the_row_says(
    tmp_path: Path, trouble: BangerError | None
) -> None:
    async def play(bench: Bench) -> None:
        assert bench.network.uplink == [False]
        assert bench.supervision.state == "running"

    scenario(tmp_path, play, trouble=trouble)


def wanted(*ports: int, **changes: Any) -> Vm:
    """The row with these published ports and ``changes``."""
    publish = [Publication(host_address=HOST, host_port=port, guest_port=80) for port in ports]
    return example_vm(state="running", publish=publish, **changes)


def test_running_vm_becomes_what_the_row_says(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        row = wanted(8011, 8012, nat=True, vcpu=4)
        await bench.supervision.apply(row)
        assert bench.network.forwards == [8011, 8012]
        assert bench.network.uplink[-1]
        assert bench.supervision.vm is row
        await bench.supervision.apply(wanted(8012, nat=False))
        assert bench.network.forwards == [8012]
        assert not bench.network.uplink[-1]

    scenario(tmp_path, play)


def test_port_that_is_taken_is_refused_and_all_stays_as_it_was(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        row = wanted(8011)
        await bench.supervision.apply(row)
        with socket.create_server((HOST, 8012)), pytest.raises(BangerError) as refused:
            await bench.supervision.apply(wanted(8013, 8012, nat=True))
        assert refused.value.code is Code.CONFLICT
        assert bench.supervision.vm is row
        assert bench.network.forwards == [8011]
        assert bench.network.uplink == [False, False]

    scenario(tmp_path, play)


def test_way_out_that_cannot_be_changed_leaves_the_ports_as_they_were(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        before = bench.supervision.vm
        bench.network.trouble = BangerError(Code.INTERNAL, "QEMU refused netdev_add")
        with pytest.raises(BangerError):
            await bench.supervision.apply(wanted(8011, nat=True))
        assert bench.supervision.vm is before
        assert bench.network.forwards == []

    scenario(tmp_path, play)


def test_row_of_a_vm_without_vmm_is_refused(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        with pytest.raises(BangerError) as refused:
            await bench.supervision.apply(wanted(8011))
        assert refused.value.code is Code.NOT_RUNNING

    scenario(tmp_path, play, machine=False)


def test_no_vmm_is_looked_for_where_none_can_be(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        assert bench.supervision.running is None
        assert bench.told == []

    scenario(tmp_path, play, ran_before=False)


# -- a stop that is taken back --------------------------------------------------------------


async def stopping(bench: Bench, limit: float, *, taken_back: bool) -> asyncio.Task[None]:
    """A stop that has begun."""
    stop = asyncio.create_task(bench.supervision.stop(limit, taken_back=lambda: taken_back))
    limit = time.monotonic() + SECONDS
    assert await poll_async(lambda: ("stopping", "") in bench.told, limit, pause=0.001)
    return stop


@pytest.mark.parametrize(("taken_back", "after"), [(True, "running"), (False, "stopping")])
def test_a_stop_that_the_guest_was_not_told_of_is_taken_back(
    tmp_path: Path, taken_back: bool, after: State
) -> None:
    async def play(bench: Bench) -> None:
        stop = await stopping(bench, time.monotonic() + SECONDS, taken_back=taken_back)
        stop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stop
        assert bench.told[-1] == (after, "")
        assert bench.supervision.state == after

    scenario(tmp_path, play)


def test_a_guest_that_was_told_is_stopping_until_it_is_off(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        stop = await stopping(bench, time.monotonic() + SECONDS, taken_back=True)
        bench.supervision._stops[0].may_follow = True  # its agent has taken the request
        stop.cancel()
        await asyncio.wait([stop], timeout=0.05)
        assert (stop.done(), bench.supervision.state) == (False, "stopping")
        bench.machine.end(ExitReason.POWEROFF)
        await stop
        assert (bench.told[-1], bench.machine.signals) == (("stopped", ""), [])

    scenario(tmp_path, play)


def test_a_guest_that_was_told_and_stays_runs_on_and_is_not_ended(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        stop = await stopping(bench, time.monotonic() + 0.2, taken_back=True)
        bench.supervision._stops[0].may_follow = True
        stop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stop
        assert (bench.told[-1], bench.machine.signals) == (("running", ""), [])

    scenario(tmp_path, play)


def test_a_start_is_a_successors_while_the_end_is_being_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row may say that the VM has stopped by then, and a user starts it again."""
    storing, stored = asyncio.Event(), asyncio.Event()

    async def store_slowly(state: State, _reason: str) -> None:
        if state == "stopped":
            storing.set()
            await stored.wait()

    async def play(bench: Bench) -> None:
        monkeypatch.setattr(bench, "store_state", store_slowly)
        bench.machine.end(ExitReason.POWEROFF)
        await storing.wait()
        with pytest.raises(BangerError) as refused:
            await bench.supervision.start(lambda *_: None)
        assert refused.value.code is Code.UNAVAILABLE
        stored.set()
        await bench.left.wait()
        assert not bench.launcher.launching.is_set()

    scenario(tmp_path, play)
