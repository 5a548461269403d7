"""Drives the third VMM, which has no control socket: it is paused and resumed by signals."""

import signal
import sys
from pathlib import Path

from services.vm_supervisor.drivers.contract import (
    Driver,
    ExitReason,
    Jailer,
    MachineSpec,
    VmmExit,
    VmPlace,
    cannot_save,
    check_files,
)
from services.vm_supervisor.drivers.exit import conclude, tail
from services.vm_supervisor.guest.channel import AgentAddress
from shared.config import Config
from shared.host.process import ProcessId, Watch, spawn_detached
from shared.vm import files
from shared.vm.saved import MemoryForm
from shared.vmm.info import DriverInfo, process_name
from tests.unit.shared.vmm.example import Paper


def make_driver(_config: Config, _jailer: Jailer) -> Driver:
    return PaperDriver()


class PaperDriver:
    """See ``Driver``."""

    info: DriverInfo = Paper()

    def prepare(self, spec: MachineSpec, saved: Path | None = None) -> None:
        check_files(spec, saved)

    async def launch(self, spec: MachineSpec, saved: Path | None = None) -> "PaperMachine":
        if saved:
            raise cannot_save(self.info.title)
        console = spec.state / files.CONSOLE_LOG
        console_start = console.stat().st_size if console.exists() else 0
        words = {
            "vm": process_name(spec.place.vm_id),
            "run": spec.run,
            "state": spec.state,
            "initrd": spec.initrd,
            "address": spec.network.access_host,
            "ssh": spec.network.access_port,
        }
        argv = [sys.executable, "-S", "-m", "tests.integration.paper.vmm"]
        argv += [f"{name}={value}" for name, value in words.items()]
        watch = Watch(spawn_detached(argv, spec.state / files.VMM_LOG))
        return PaperMachine(spec.place, watch, console_start)

    def adopt(self, place: VmPlace, process: ProcessId, console_start: int) -> "PaperMachine":
        return PaperMachine(place, Watch(process), console_start)


class PaperMachine:
    """See ``Machine``."""

    user_network = None

    def __init__(self, place: VmPlace, watch: Watch, console_start: int) -> None:
        self._place = place
        self._watch = watch
        self.console_start = console_start

    @property
    def process(self) -> ProcessId:
        return self._watch.process

    @property
    def agent(self) -> AgentAddress:
        return AgentAddress(self._place.run / files.AGENT_SOCKET)

    async def attach(self) -> None:
        """There is nothing to attach to."""

    async def pause(self) -> None:
        self.kill(signal.SIGSTOP)

    async def version(self) -> str:
        raise cannot_save("Paper")

    async def save(self, target: Path) -> MemoryForm:
        raise cannot_save("Paper")

    async def collect(self, target: Path) -> None:
        raise cannot_save("Paper")

    async def resume(self) -> None:
        self.kill(signal.SIGCONT)

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        self._watch.kill(signum)

    async def ended(self) -> VmmExit:
        status = await self._watch.ended()
        console = tail(self._place.state / files.CONSOLE_LOG, self.console_start)
        if "reboot: Power down" in console:
            return VmmExit(ExitReason.POWEROFF, "the guest powered off")
        return conclude(None, status, console, tail(self._place.state / files.VMM_LOG))

    async def close(self) -> None:
        self._watch.close()
