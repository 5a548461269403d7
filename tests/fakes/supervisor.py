"""A supervisor without a VMM. It passes the contract tests of the real one (tests/integration)."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from services.api.machines.spare_supervisor import Spare
from shared.bus.ask import Ask
from shared.bus.handlers import Call, handles
from shared.contract.lifecycle import Action, check
from shared.contract.messages.machine import (
    Activity,
    GuestStats,
    MachineApply,
    MachineKill,
    MachineRestore,
    MachineSave,
    MachineSaved,
    MachineState,
    MachineStop,
    MachineSuspend,
    SupervisorSpec,
    SystemState,
)
from shared.contract.messages.vm import Empty, Health, Port, PortList, State, Vm
from shared.contract.messages.vm_request import GuestExec, GuestOutput
from shared.contract.ssh_access import Access
from shared.contract.verbs import api, store, supervisor
from shared.errors import BangerError, Code
from shared.host.boot_id import host_boot_id
from shared.host.process import ENDING, ProcessId, Watch, spawn_detached
from shared.paths import Paths
from shared.vm import files
from shared.vm.asleep import Asleep, forget_asleep, write_asleep
from shared.vm.handle import Handle, read_handle, remove_handle, write_handle
from shared.vm.publish_saved import discard
from shared.vm.saved import SavedMachine, read_saved
from tests.fakes.bus import FakeBus
from tests.fakes.saved import save_machine


class FakeSupervisor:
    """``held`` stops boots and stops until it is set; ``failure`` is what a boot ends with, of a
    VMM that ``ran`` or did not. ``too_late``: a boot or a stop that is cancelled is done already.
    """

    def __init__(
        self, spec: SupervisorSpec, process: ProcessId, ask: Ask, run: Path, state: Path
    ) -> None:
        self.spec = spec
        self.state: State = spec.vm.state
        self.reason = ""
        self.held: asyncio.Event | None = None
        self.failure: BangerError | None = None
        self.ran = False
        self.too_late = False
        self.applied: list[Vm] = []
        self.activity = Activity(at=0.0, cpu_seconds=0.0, connections=0)
        self.exec_status = 42
        self.system = SystemState(state="running")
        self.on_end: Callable[[], None] = lambda: None
        self._ask = ask
        self._run = run
        self._state = state
        self._process = process
        self._forgotten = False
        self._up = False

    @handles(supervisor.START)
    async def start(self, _request: Empty, call: Call) -> MachineState:
        if check(self.spec.vm.name, self.state, Action.START):
            before: State = "created" if self.state == "created" else "stopped"
            await self._report("starting", stored=self.spec.vm.state == "starting")
            call.progress("boot", "booting with nothing")
            try:
                await self._wait()
                if self.failure:
                    raise self.failure
            except (BangerError, asyncio.CancelledError) as error:
                if self.too_late:
                    return await self._come_up()
                failed = isinstance(error, BangerError) and self.ran
                await self._report("failed" if failed else before, str(error) if failed else "")
                self.on_end()
                raise
            return await self._come_up()
        return self._told()

    async def _come_up(self) -> MachineState:
        if self.spec.saved:
            self._copy(read_saved(Path(self.spec.saved)))
        if self._state.is_dir():
            discard(self._state / files.SUSPENDED)
        waits = self.spec.vm.keeper == "pool"
        self._write_handle(waits=waits)
        self._up = True
        await self._report("paused" if waits else "running")
        return self._told()

    @handles(supervisor.HAND_OVER)
    async def hand_over(self, request: MachineApply, _call: Call) -> MachineState:
        await self._wait()
        if self.failure:
            raise self.failure
        self.spec = replace(self.spec, vm=request.vm)
        self._write_handle()
        await self._report("running", stored=True)
        return self._told()

    @handles(supervisor.STOP)
    async def stop(self, request: MachineStop, _call: Call) -> MachineState:
        await self._report("stopping", stored=request.stored)
        try:
            await self._wait()
        except asyncio.CancelledError:
            if not self.too_late:
                await self._report("running")
                raise
        return await self._end()

    @handles(supervisor.KILL)
    async def kill(self, request: MachineKill, _call: Call) -> MachineState:
        self._forgotten = self._forgotten or request.forget
        if request.signal not in ENDING:
            return self._told()
        return await self._end()

    @handles(supervisor.PAUSE)
    async def pause(self, _request: Empty, _call: Call) -> MachineState:
        if check(self.spec.vm.name, self.state, Action.PAUSE):
            await self._report("paused")
        return self._told()

    @handles(supervisor.RESUME)
    async def resume(self, _request: Empty, _call: Call) -> MachineState:
        if check(self.spec.vm.name, self.state, Action.RESUME):
            await self._report("running")
        return self._told()

    @handles(supervisor.SUSPEND)
    async def suspend(self, request: MachineSuspend, _call: Call) -> MachineState:
        memory = self._state / files.SUSPENDED
        if check(self.spec.vm.name, self.state, Action.SUSPEND):
            await self._wait()
            if self.failure:
                raise self.failure
            save_machine(memory, self.spec.vm, disks=False)
        if not request.hold:
            forget_asleep(self._state)
            return await self._end("suspended")
        handle = read_handle(self._run)
        assert handle
        write_asleep(memory, Asleep(reason=request.reason, access=handle.access))
        remove_handle(self._run)
        self._up = False
        await self._report("suspended", request.reason, wakes=True)
        return self._told()

    @handles(supervisor.DISCARD)
    async def discard(self, _request: Empty, _call: Call) -> MachineState:
        discard(self._state / files.SUSPENDED)
        return await self._end("stopped")

    @handles(supervisor.SAVE)
    async def save(self, request: MachineSave, _call: Call) -> MachineSaved:
        vm, target = self.spec.vm, Path(request.directory)
        check(vm.name, self.state, Action.SNAPSHOT)
        if target.exists():
            raise BangerError(Code.CONFLICT, f"{target} already exists")
        await self._wait()
        if self.failure:
            raise self.failure
        memory = request.memory and (self._up or self.state == "suspended")
        save_machine(target, vm, memory=memory)
        return MachineSaved(memory=memory, pause_seconds=0.1, copied="sparse", real_bytes=4096)

    @handles(supervisor.RESTORE)
    async def restore(self, request: MachineRestore, _call: Call) -> MachineState:
        check(self.spec.vm.name, self.state, Action.RESTORE)
        saved = read_saved(Path(request.directory), memory=request.memory)
        await self._wait()
        if self.failure:
            raise self.failure
        self._copy(saved)
        return await self._end("suspended" if saved.memory else "stopped")

    def _copy(self, saved: SavedMachine) -> None:
        self._state.mkdir(exist_ok=True, parents=True)
        for name in (files.OVERLAY, files.WORK_DISK):
            (self._state / name).write_bytes(b"disk")
        discard(self._state / files.SUSPENDED)
        if saved.memory:
            save_machine(self._state / files.SUSPENDED, self.spec.vm, disks=False)

    @handles(supervisor.APPLY)
    async def apply(self, request: MachineApply, _call: Call) -> None:
        if not self._up:
            raise BangerError(Code.NOT_RUNNING, f"{self.spec.vm.name} is not running")
        self.applied.append(request.vm)

    @handles(supervisor.AWAIT_SYSTEM)
    async def await_system(self, _request: Empty, _call: Call) -> SystemState:
        return self.system

    @handles(supervisor.STATE)
    async def tell_state(self, _request: Empty, _call: Call) -> MachineState:
        return self._told()

    @handles(supervisor.ACTIVITY)
    async def tell_activity(self, _request: Empty, _call: Call) -> Activity:
        return self.activity

    @handles(supervisor.STATS)
    async def stats(self, _request: Empty, _call: Call) -> GuestStats:
        return GuestStats(
            at=2.0, cpu_seconds=1.5, resident_bytes=3, uptime=9.0, received_bytes=4, sent_bytes=5
        )

    @handles(supervisor.PORTS)
    async def ports(self, _request: Empty, _call: Call) -> PortList:
        vm, port = self.spec.vm, Port(protocol="tcp", guest_address="0.0.0.0", guest_port=80)
        return PortList(id=vm.id, name=vm.name, ports=[port])

    @handles(supervisor.EXEC)
    async def execute(self, request: GuestExec, _call: Call) -> GuestOutput:
        stdout = f"{request.text} ".encode() + request.stdin
        return GuestOutput(status=self.exec_status, stdout=stdout, stderr=b"")

    @handles(supervisor.HEALTH)
    async def health(self, _request: Empty, _call: Call) -> Health:
        return Health(id=self.spec.vm.id, name=self.spec.vm.name, healthy=True, checks=[])

    async def _wait(self) -> None:
        if self.held:
            await self.held.wait()

    async def _end(self, state: State = "stopped") -> MachineState:
        remove_handle(self._run)
        self._up = False
        await self._report(state)
        self.on_end()
        return self._told()

    async def _report(
        self, state: State, reason: str = "", *, stored: bool = False, wakes: bool = False
    ) -> None:
        self.state, self.reason = state, reason
        if not stored and not self._forgotten:
            vm_id = self.spec.vm.id
            update = store.VM_UPDATE(id=vm_id, state=state, reason=reason, wakes=wakes)
            with contextlib.suppress(BangerError):  # the VM may be deleted
                await self._ask(update)

    def _told(self) -> MachineState:
        return MachineState(state=self.state, reason=self.reason)

    def _write_handle(self, *, waits: bool = False) -> None:
        vm, process = self.spec.vm, self._process
        access = Access(
            host=vm.address, port=22, key="k", known_hosts="h", alias=vm.name, control="c"
        )
        handle = Handle(
            vm_id=vm.id,
            host_boot=host_boot_id(),
            pid=process.pid,
            start_time=process.start_time,
            vmm="qemu",
            accel="tcg",
            access=access,
            ready=True,
            waits=waits,
            guest_boot="boot",
            ports={"tcp/80": 8080},
        )
        write_handle(self._run, handle)


class FakeSpare(Spare):
    """Gives each VM a ``FakeSupervisor`` on ``bus``. Its process, which is its VMM too, is a
    ``cat`` that ends with it."""

    def __init__(self, bus: FakeBus, paths: Paths, errors: Path) -> None:
        self.given: list[FakeSupervisor] = []
        self.setup: Callable[[FakeSupervisor], None] = lambda _: None
        """Called with each new supervisor before it serves."""
        self.errors = errors
        self._bus = bus
        self._paths = paths
        self._pipes: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def prepare(self) -> None:
        """Nothing is started ahead."""

    def assign(self, content: bytes) -> Watch:
        spec = msgspec.msgpack.decode(content, type=SupervisorSpec)
        read, write = os.pipe2(os.O_CLOEXEC)
        process = spawn_detached(["cat"], self.errors, stdin=read)
        os.close(read)
        self._pipes.append(write)
        places = self._paths.vm_run(spec.vm.id), self._paths.vm_state(spec.vm.id)
        given = FakeSupervisor(spec, process, self._bus.ask, *places)
        given.on_end = lambda: self._end(spec.vm.id, write)
        self.setup(given)
        self.given.append(given)
        self._bus.serve(f"vm:{spec.vm.id}", given)
        ready = api.SUPERVISOR_READY(id=spec.vm.id, pid=process.pid)
        task = asyncio.ensure_future(self._bus.ask(ready))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Watch(process)

    def _end(self, vm_id: str, pipe: int) -> None:
        self._bus.leave(f"vm:{vm_id}")
        if pipe in self._pipes:
            self._pipes.remove(pipe)
            os.close(pipe)

    def close(self) -> None:
        for pipe in self._pipes:
            os.close(pipe)
        self._pipes = []
