"""Runs VMs with QEMU, controlled by QMP (the qemu.qmp library).

QEMU is in a session of its own and keeps running when the supervisor dies; ``adopt`` connects to
its QMP socket again. QEMU reports the guest's end as a SHUTDOWN event just before it exits.
"""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

from services.vm_supervisor.drivers.contract import (
    Driver,
    ExitReason,
    Jailer,
    MachineSpec,
    PortTaken,
    VmmExit,
    VmPlace,
    check_files,
)
from services.vm_supervisor.drivers.exit import conclude, guest_failed, tail
from services.vm_supervisor.drivers.halted import wait_until_halted
from services.vm_supervisor.drivers.qemu.argv import Inherited, qemu_argv
from services.vm_supervisor.drivers.qemu.control import QmpControl
from services.vm_supervisor.drivers.qemu.migration import Migration
from services.vm_supervisor.drivers.qemu.network import QemuUserNetwork
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.network.backlog import ListenBacklog
from services.vm_supervisor.network.modes import Outside
from services.vm_supervisor.network.outside_filter import filtered_pair
from services.vm_supervisor.network.udp_relay import UdpRelay
from shared.addresses.mac import mac_address
from shared.config import Config
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, Watch, spawn_detached
from shared.vm import files
from shared.vm.saved import MemoryForm
from shared.vmm.accelerator import Accel
from shared.vmm.info import DriverInfo
from shared.vmm.qemu.binary import PROGRAM, find_program
from shared.vmm.qemu.info import Qemu
from shared.vmm.qemu.release import release_of

_LAST_WORDS_SECONDS = 0.5
_SPACE_AGAIN_SECONDS = 1.0
"""Between attempts to resume a guest that QEMU stopped because the host's disk was full."""
_NO_FORWARD = "Could not set up host forwarding rule"
"""QEMU's words (net/slirp.c)."""
_CAUSES = {
    "guest-shutdown": ExitReason.POWEROFF,
    "guest-reset": ExitReason.REBOOT,
    "guest-panic": ExitReason.PANIC,
    "host-signal": ExitReason.KILLED,
    "host-qmp-quit": ExitReason.KILLED,
}
"""ShutdownCause of the QEMU QMP Reference Manual."""


class QemuDriver:
    """See ``contract.Driver``."""

    info: DriverInfo = Qemu()

    def __init__(self, program: str = PROGRAM, cpu: str = "") -> None:
        """``program``: name or path of QEMU (``qemu_bin`` of the configuration); ``cpu``: the model
        that it emulates (``qemu_cpu``), its default if empty."""
        self._program = program
        self._cpu = cpu

    def prepare(self, spec: MachineSpec, saved: Path | None = None) -> None:
        find_program(self._program)
        check_files(spec, saved)

    async def launch(self, spec: MachineSpec, saved: Path | None = None) -> "QemuMachine":
        for name in (files.QMP_SOCKET, files.CONSOLE_SOCKET, files.AGENT_SOCKET):
            (spec.run / name).unlink(missing_ok=True)
        vmm_log = spec.state / files.VMM_LOG
        vmm_log.unlink(missing_ok=True)
        console = spec.state / files.CONSOLE_LOG
        console_start = console.stat().st_size if console.exists() else 0
        watch = Watch(self._spawn(spec, vmm_log, saved))
        return QemuMachine(spec.place, watch, console_start, saved=saved)

    def _spawn(self, spec: MachineSpec, log: Path, saved: Path | None) -> ProcessId:
        with contextlib.ExitStack() as until_it_runs:
            inherited = _inherited(spec, saved, until_it_runs)
            argv = qemu_argv(spec, self._program, self._cpu, inherited, saved)
            return spawn_detached(argv, log, inherited=inherited.numbers())

    def adopt(self, place: VmPlace, process: ProcessId, console_start: int) -> "QemuMachine":
        return QemuMachine(place, Watch(process), console_start, adopted=True)


def _inherited(spec: MachineSpec, saved: Path | None, until: contextlib.ExitStack) -> Inherited:
    """What QEMU needs to inherit; closed here with ``until``."""
    ends, memory = (-1, -1), -1
    if outside := spec.network.outside:
        guest_end, outside_end = (until.enter_context(end) for end in _filtered_pair(outside))
        ends = guest_end.fileno(), outside_end.fileno()
    if spec.accelerator.accel is Accel.TCG and not (saved or spec.memory_file):
        memory = os.memfd_create("banger-guest", os.MFD_CLOEXEC)
        until.callback(os.close, memory)
        os.truncate(memory, spec.memory_mib << 20)
    return Inherited(ends, memory)


def _filtered_pair(outside: Outside) -> tuple[socket.socket, socket.socket]:
    try:
        return filtered_pair(outside.literal)
    except OSError as error:
        raise BangerError(
            Code.INVALID,
            f"the kernel takes no filter for this egress list: {error.strerror}",
            hint="shorten the list, or raise net.core.optmem_max (sysctl)",
        ) from error


def make_driver(config: Config, _jailer: Jailer) -> Driver:
    """The driver as the configuration has it; QEMU runs in no jail."""
    return QemuDriver(config.qemu_bin, config.qemu_cpu)


class QemuMachine:
    """One running QEMU; see ``contract.Machine``. ``saved``: what ``attach`` is to load."""

    def __init__(
        self,
        place: VmPlace,
        watch: Watch,
        console_start: int,
        *,
        saved: Path | None = None,
        adopted: bool = False,
    ) -> None:
        self._watch = watch
        self._run = place.run
        self._state = place.state
        self._console_start = console_start
        self._saved = saved
        self._adopted = adopted
        self._shutdown: ExitReason | None = None
        self._shutdown_read = asyncio.Event()
        self._control = QmpControl(watch, place.run / files.QMP_SOCKET)
        self._events: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._resuming: asyncio.Task[None] | None = None
        self._halted = False
        self._watching_console: asyncio.Task[None] | None = None
        relay = UdpRelay(place.run, mac_address(place.vm_id))
        backlog = ListenBacklog(watch.process)
        self._user_network = QemuUserNetwork(self._control.execute, relay, backlog)
        self._migration = Migration(
            self._control.execute, self._control.send_descriptor, watch.process.pid
        )

    @property
    def process(self) -> ProcessId:
        return self._watch.process

    @property
    def console_start(self) -> int:
        return self._console_start

    @property
    def agent(self) -> AgentAddress:
        return AgentAddress(self._run / files.AGENT_SOCKET)

    @property
    def user_network(self) -> QemuUserNetwork:
        return self._user_network

    async def attach(self) -> None:
        """Connect QMP, and load what was saved. Raises as ``contract.Machine`` says."""
        if not await self._control.connect():
            raise await self._failure()
        if self._saved:
            await self._load(self._saved)
        elif self._adopted:
            await self._refuse_never_loaded()
            with contextlib.suppress(BangerError):  # as in ``_refuse_never_loaded``
                await self._migration.abandon()
        self._user_network.make_room()  # at the forward to ssh, or those of a predecessor
        self._events = asyncio.create_task(self._read_events())
        self._stopped.set()  # an event may have passed while nobody was connected
        self._resuming = asyncio.create_task(self._resume_after_full_disk())
        self._watching_console = asyncio.create_task(self._end_when_halted())

    async def _refuse_never_loaded(self) -> None:
        """The supervisor before this one may have died before it had told QEMU what to load."""
        status = ""
        with contextlib.suppress(BangerError):  # QEMU is gone: ``ended`` says why
            status = await self._migration.status()
        if status == "inmigrate":
            self.kill()
            await self._watch.ended()
            raise BangerError(Code.NOT_RUNNING, "the guest of this VMM was never loaded")

    async def _load(self, saved: Path) -> None:
        try:
            await self._migration.load(saved)
        except BangerError:
            # A QEMU that refuses what it reads ends. Its connection may be gone a moment before.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_SECONDS):
                    await self._watch.ended()
            if self._watch.alive:
                raise
            raise await self._failure() from None

    async def _failure(self) -> BangerError:
        end = await self.ended()
        if _NO_FORWARD in end.detail:
            return guest_failed(end, self._state, PortTaken)
        if self._saved and end.reason is ExitReason.CRASHED:
            return BangerError(
                Code.INVALID,
                f"QEMU refuses the saved machine: {end.detail}",
                hint=f"see {self._state / files.VMM_LOG}",
            )
        return guest_failed(end, self._state)

    async def pause(self) -> None:
        await self._control.execute("stop")

    async def resume(self) -> None:
        await self._control.execute("cont")

    async def version(self) -> str:
        return release_of(await self._control.execute("query-version"))

    async def save(self, target: Path) -> MemoryForm:
        return await self._migration.save(target)

    async def collect(self, _target: Path) -> None:
        """Nothing is left to do."""

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        self._watch.kill(signum)

    async def ended(self) -> VmmExit:
        exit_code = await self._watch.ended()
        if exit_code is None or exit_code == 0:  # a QEMU that was killed sent no event
            # The event was written before QEMU exited, but may not have been read yet.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._shutdown_read.wait(), _LAST_WORDS_SECONDS)
        console = tail(self._state / files.CONSOLE_LOG, self._console_start)
        seen = ExitReason.POWEROFF if self._halted else self._shutdown
        return conclude(seen, exit_code, console, tail(self._state / files.VMM_LOG))

    async def close(self) -> None:
        self._user_network.close()
        for task in (self._events, self._resuming, self._watching_console):
            if task is not None:
                task.cancel()
        await self._control.disconnect()
        self._watch.close()

    async def _read_events(self) -> None:
        async for event in self._control.events():
            data = event.get("data")
            if event["event"] == "SHUTDOWN" and isinstance(data, dict):
                self._shutdown = _CAUSES.get(str(data.get("reason")), ExitReason.UNKNOWN)
                self._shutdown_read.set()
            elif event["event"] == "STOP":
                self._stopped.set()

    async def _resume_after_full_disk(self) -> None:
        """Resume a guest that QEMU stopped because a write found no space on the host's disk.

        QEMU stops it so that nothing is lost, and repeats the write when it is resumed. STOP is the
        event to wait for: at BLOCK_IO_ERROR the guest still runs.
        """
        with contextlib.suppress(BangerError):  # the VMM is gone: ``ended`` says why
            while await self._stopped.wait():
                self._stopped.clear()
                while await self._migration.status() == "io-error":
                    await asyncio.sleep(_SPACE_AGAIN_SECONDS)
                    await self._control.execute("cont")

    async def _end_when_halted(self) -> None:
        """End the VMM of a guest that has halted (``halt -f``, or an init that halts): QEMU sends
        no event for it, and the guest would be there for ever."""
        await wait_until_halted(self._state / files.CONSOLE_LOG, self._console_start)
        self._halted = True
        self.kill(signal.SIGTERM)
