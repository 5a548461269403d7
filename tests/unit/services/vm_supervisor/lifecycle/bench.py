"""A supervision with a scripted launcher and VMM, and what it told."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from socket import socket
from typing import Any, cast

from services.vm_supervisor.drivers.contract import ExitReason, Machine, VmmExit
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.launch.launcher import VmmLauncher
from services.vm_supervisor.lifecycle.supervision import Supervision
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.running_vm import RunningVm
from shared.config import Config
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import Keeper, State
from shared.errors import BangerError
from shared.host.process import ProcessId
from shared.logs import Log
from shared.paths import Paths
from shared.vm import files
from shared.vm.handle import write_handle
from shared.vm.saved import MachineFacts, MemoryForm
from shared.vmm.qemu.info import Qemu
from tests.example import example_vm
from tests.unit.services.vm_supervisor.disks.saved_machines import save
from tests.unit.shared.vm.test_handle import own_handle
from tests.unit.shared.vm.test_saved import FACTS

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

    async def add_forward(self, forward: Forward, bound: socket | None = None) -> None:
        self.forwards.append(forward.port)

    async def remove_forward(self, forward: Forward) -> None:
        self.forwards.remove(forward.port)


class ScriptedMachine:
    """A VMM that ends when it is killed or the test says so, killed or not when it is ``stuck``;
    its guest's agent never answers. ``saving`` holds a save until it is set, which ``trouble`` ends
    then."""

    def __init__(self, absent: Path, network: ScriptedNetwork) -> None:
        self.user_network = network
        self.agent = AgentAddress(absent)
        self.signals: list[signal.Signals] = []
        self.paused = False
        self.pauses = 0
        self.collected: list[bool] = []
        """Whether the guest stood still, of each call."""
        self.begun = asyncio.Event()
        self.saving: asyncio.Event | None = None
        self.trouble: BangerError | None = None
        self.stuck = True
        self._end: asyncio.Future[VmmExit] = asyncio.get_running_loop().create_future()

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        self.signals.append(signum)
        if not self.stuck and not self._end.done():
            self.end(ExitReason.KILLED)

    def end(self, reason: ExitReason, detail: str = "it ended") -> None:
        self._end.set_result(VmmExit(reason, detail))

    async def ended(self) -> VmmExit:
        return await asyncio.shield(self._end)

    async def pause(self) -> None:
        self.paused = True
        self.pauses += 1

    async def resume(self) -> None:
        self.paused = False

    async def save(self, target: Path) -> MemoryForm:
        self.begun.set()
        if self.saving:
            await self.saving.wait()
        if self.trouble:
            raise self.trouble
        assert self.paused
        for name in (files.MEMORY, files.DEVICE_STATE):
            (target / name).write_text("saved")
        return "file"

    async def collect(self, _target: Path) -> None:
        self.collected.append(self.paused)

    async def close(self) -> None:
        pass


class ScriptedLauncher:
    """Adopts ``machine``; each launch raises the next one of ``troubles``, or waits."""

    def __init__(self, paths: Paths, machine: ScriptedMachine | None) -> None:
        self.paths = paths
        self.troubles: Iterator[BangerError] = iter(())
        self.launching = asyncio.Event()
        self.wanted: MachineFacts | None = None
        self._machine = machine

    async def adopt(self, handle: Any) -> RunningVm:
        machine = cast(Machine, self._machine)
        return RunningVm(machine, handle, Qemu())

    async def facts(self, *_: Any) -> MachineFacts:
        return self.wanted or MachineFacts(**FACTS)

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
        facts: dict[str, Any] | None = None,
        suspended: bool = False,
        still: bool = False,
        keeper: Keeper = "",
        waits: ProcessId | None = None,
    ) -> None:
        names = ("config", "data", "state", "run")
        paths = Paths(**{name: root / name for name in names})
        claimed = state or ("running" if machine else "stopped")
        self.vm = example_vm(state=claimed, nat=False, keeper=keeper)
        run = paths.vm_run(self.vm.id)
        run.mkdir(parents=True)
        self.network = ScriptedNetwork(trouble)
        self.machine = ScriptedMachine(root / "absent", self.network)
        self.launcher = ScriptedLauncher(paths, self.machine)
        if machine:
            handle = own_handle()
            handle.ready = True
            handle.facts = MachineFacts(**facts) if facts else None
            handle.waits, handle.halted = waits is not None, waits
            write_handle(run, handle)
        self.directory = paths.vm_state(self.vm.id)
        if facts:
            self.machine.stuck = False
        if suspended:
            save(self.directory / files.SUSPENDED, "old", disks=False)
        self.machine.paused = still or claimed == "paused"
        self.told: list[tuple[State, str]] = []
        self.wakes = False
        self.uses = 0
        self.left = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.supervision = Supervision(
            SupervisorSpec(vm=self.vm, image="i", kernel="k", ran_before=ran_before),
            Config(),
            cast(VmmLauncher, self.launcher),
            Log(root / "log", "test"),
            self,
        )

    async def store_state(self, state: State, reason: str, *, wakes: bool) -> None:
        self.told.append((state, reason))
        self.wakes = wakes

    async def note_use(self) -> None:
        self.uses += 1

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
    facts: dict[str, Any] | None = None,
    suspended: bool = False,
    still: bool = False,
    keeper: Keeper = "",
    waits: ProcessId | None = None,
) -> None:
    """``facts``: what is known of the machine. ``suspended``: its memory is on disk. ``still``: its
    guest stands still. ``waits``: the master of one that waits to be handed over."""

    async def played() -> None:
        bench = Bench(
            root,
            machine=machine,
            trouble=trouble,
            ran_before=ran_before,
            state=state,
            facts=facts,
            suspended=suspended,
            still=still,
            keeper=keeper,
            waits=waits,
        )
        try:
            async with asyncio.timeout(SECONDS):
                await bench.supervision.take_over()
                await play(bench)
        finally:
            await bench.close()

    asyncio.run(played())
