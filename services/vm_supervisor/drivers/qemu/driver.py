"""Runs VMs with QEMU, controlled by QMP (the qemu.qmp library).

QEMU is in a session of its own and keeps running when the supervisor dies; ``adopt`` connects to
its QMP socket again. QEMU reports the guest's end as a SHUTDOWN event just before it exits.
"""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from services.vm_supervisor.drivers.contract import (
    Driver,
    ExitReason,
    Jailer,
    MachineSpec,
    PortTaken,
    VmmExit,
    VmPlace,
    cannot_save,
    check_files,
)
from services.vm_supervisor.drivers.exit import LINE_MAX, conclude, guest_failed, tail
from services.vm_supervisor.drivers.halted import wait_until_halted
from services.vm_supervisor.drivers.qemu.argv import qemu_argv
from services.vm_supervisor.drivers.qemu.network import QemuUserNetwork
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.network.backlog import ListenBacklog
from services.vm_supervisor.network.outside_filter import filtered_pair
from services.vm_supervisor.network.udp_relay import UdpRelay
from shared.addresses.mac import mac_address
from shared.config import Config
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, Watch, spawn_detached
from shared.plain_text import printable
from shared.vm import files
from shared.vm.saved import MemoryForm
from shared.vmm.info import DriverInfo
from shared.vmm.qemu.binary import PROGRAM, find_program
from shared.vmm.qemu.info import Qemu

if TYPE_CHECKING:  # imported when QEMU runs already: the guest boots meanwhile
    from qemu.qmp import QMPClient

_CONNECT_RETRY_SECONDS = 0.01
_CONNECT_SECONDS = 10.0
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
        if saved:
            raise cannot_save(self.info.title)
        for name in (files.QMP_SOCKET, files.CONSOLE_SOCKET, files.AGENT_SOCKET):
            (spec.run / name).unlink(missing_ok=True)
        vmm_log = spec.state / files.VMM_LOG
        vmm_log.unlink(missing_ok=True)
        console = spec.state / files.CONSOLE_LOG
        console_start = console.stat().st_size if console.exists() else 0
        return QemuMachine(spec.place, Watch(self._spawn(spec, vmm_log)), console_start)

    def _spawn(self, spec: MachineSpec, log: Path) -> ProcessId:
        outside = spec.network.outside
        if outside is None:
            return spawn_detached(qemu_argv(spec, self._program, self._cpu), log)
        try:
            guest_end, outside_end = filtered_pair(outside.literal)
        except OSError as error:
            raise BangerError(
                Code.INVALID,
                f"the kernel takes no filter for this egress list: {error.strerror}",
                hint="shorten the list, or raise net.core.optmem_max (sysctl)",
            ) from error
        with guest_end, outside_end:
            ends = guest_end.fileno(), outside_end.fileno()
            return spawn_detached(
                qemu_argv(spec, self._program, self._cpu, ends), log, inherited=ends
            )

    def adopt(self, place: VmPlace, process: ProcessId, console_start: int) -> "QemuMachine":
        return QemuMachine(place, Watch(process), console_start)


def make_driver(config: Config, _jailer: Jailer) -> Driver:
    """The driver as the configuration has it; QEMU runs in no jail."""
    return QemuDriver(config.qemu_bin, config.qemu_cpu)


class QemuMachine:
    """One running QEMU; see ``contract.Machine``."""

    def __init__(self, place: VmPlace, watch: Watch, console_start: int) -> None:
        self._watch = watch
        self._run = place.run
        self._state = place.state
        self._console_start = console_start
        self._shutdown: ExitReason | None = None
        self._shutdown_read = asyncio.Event()
        self._qmp: QMPClient | None = None
        self._events: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._resuming: asyncio.Task[None] | None = None
        self._halted = False
        self._watching_console: asyncio.Task[None] | None = None
        relay = UdpRelay(place.run, mac_address(place.vm_id))
        backlog = ListenBacklog(watch.process)
        self._user_network = QemuUserNetwork(self._execute, relay, backlog)

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
        """Connect QMP. Raises ``guest_failed`` with QEMU's last words when it is gone."""
        from qemu.qmp import ConnectError, QMPClient

        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CONNECT_SECONDS
        while self._watch.alive and loop.time() < deadline:
            qmp = QMPClient(f"banger-{self._watch.process.pid}")
            # QEMU makes the socket some milliseconds after it starts: no need for a log line.
            qmp.logger.setLevel("CRITICAL")
            try:
                # The library asserts that the other side is still there after the handshake. A
                # VMM that has gone was reached all the same, and ``ended`` says why it went.
                with contextlib.suppress(AssertionError):
                    async with asyncio.timeout_at(deadline):
                        await qmp.connect(str(self._run / files.QMP_SOCKET))
            except TimeoutError:
                break  # it took the connection and sent no greeting
            except ConnectError:
                await asyncio.sleep(_CONNECT_RETRY_SECONDS)
            else:
                self._qmp = qmp
                self._user_network.make_room()  # at the forward to ssh, or those of a predecessor
                self._events = asyncio.create_task(self._read_events(qmp))
                self._stopped.set()  # an event may have passed while nobody was connected
                self._resuming = asyncio.create_task(self._resume_after_full_disk())
                self._watching_console = asyncio.create_task(self._end_when_halted())
                return
        if not self._watch.alive:
            raise await self._failure()
        raise BangerError(Code.TIMEOUT, "QEMU does not answer on its QMP socket")

    async def _failure(self) -> BangerError:
        end = await self.ended()
        kind = PortTaken if _NO_FORWARD in end.detail else BangerError
        return guest_failed(end, self._state, kind)

    async def pause(self) -> None:
        await self._execute("stop")

    async def resume(self) -> None:
        await self._execute("cont")

    async def version(self) -> str:
        raise cannot_save("QEMU")

    async def save(self, _target: Path) -> MemoryForm:
        raise cannot_save("QEMU")

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
        if self._qmp is not None:
            await _disconnect(self._qmp)
        self._watch.close()

    async def _read_events(self, qmp: "QMPClient") -> None:
        async for event in qmp.events:
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
                while await self._status() == "io-error":
                    await asyncio.sleep(_SPACE_AGAIN_SECONDS)
                    await self._execute("cont")

    async def _end_when_halted(self) -> None:
        """End the VMM of a guest that has halted (``halt -f``, or an init that halts): QEMU sends
        no event for it, and the guest would be there for ever."""
        await wait_until_halted(self._state / files.CONSOLE_LOG, self._console_start)
        self._halted = True
        self.kill(signal.SIGTERM)

    async def _status(self) -> str:
        """A RunState of the QEMU QMP Reference."""
        answer = await self._execute("query-status")
        return str(answer["status"]) if isinstance(answer, dict) else ""

    async def _execute(self, command: str, arguments: dict[str, object] | None = None) -> object:
        from qemu.qmp import QMPError

        if self._qmp is None or not self._watch.alive:
            raise BangerError(Code.NOT_RUNNING, "the VMM is gone")
        try:
            return await self._qmp.execute(command, arguments)
        except QMPError as error:
            if not self._watch.alive:
                raise BangerError(Code.NOT_RUNNING, "the VMM is gone") from error
            words = printable(str(error), LINE_MAX)
            raise BangerError(Code.INTERNAL, f"QEMU refused {command}: {words}") from error


async def _disconnect(qmp: "QMPClient") -> None:
    from qemu.qmp import QMPError

    try:
        await qmp.disconnect()
    except (QMPError, OSError, EOFError):
        return  # QEMU closed the connection first
