"""Runs VMs with Firecracker on KVM, controlled by its API.

Firecracker is in a session of its own and keeps running when the supervisor dies; ``adopt`` finds
its API socket again. Its serial console is its own stdin and stdout: a FIFO, which outlives every
writer, and console.log.

Firecracker is started in the VM's run directory, where relative names lead to its files (names.py).

A guest cannot switch a Firecracker machine off, only reset it, which ends the VMM. When a guest
powers off all the same ("reboot: System halted" on its console), this driver ends the VMM.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from services.vm_supervisor.drivers.contract import (
    ExitReason,
    MachineSpec,
    VmmExit,
    VmPlace,
    check_files,
)
from services.vm_supervisor.drivers.exit import conclude, guest_failed, tail
from services.vm_supervisor.drivers.firecracker import names
from services.vm_supervisor.drivers.firecracker.api import ApiRefusal, call
from services.vm_supervisor.drivers.firecracker.requests import (
    LOAD_PATH,
    PAUSE,
    RESUME,
    SHOW_CONFIG,
    ApiRequest,
    Beginning,
    limit_requests,
    save_request,
)
from services.vm_supervisor.drivers.firecracker.saving import (
    check_room,
    empty,
    take_out,
    undisturbed,
    unloaded,
    unsaved,
)
from services.vm_supervisor.guest.channel import VSOCK_PORT, AgentAddress, await_reset
from shared.config import FirecrackerConfig
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, Watch, spawn_detached
from shared.vm import files
from shared.vm.saved import MemoryForm
from shared.vmm.firecracker.binary import Version, check_version, find_program, of_states, parse
from shared.vmm.firecracker.info import Firecracker, program_arguments
from shared.vmm.info import DriverInfo, process_name

MAX_VCPUS = 32
"""Firecracker's own limit (docs/api, MachineConfiguration)."""
_DESCRIBE = ApiRequest("GET", "/", {})
_CONNECT_RETRY_SECONDS = 0.005
_CONNECT_SECONDS = 10.0
_LOOK_SECONDS = 1.0
"""Between looks at the console for a guest that has halted."""
_HALTED = ("reboot: System halted", "reboot: Power down")
_RESET = "reboot: Restarting system"


class FirecrackerDriver:
    """See ``contract.Driver``."""

    info: DriverInfo = Firecracker()

    def __init__(self, program: str, config: FirecrackerConfig) -> None:
        """``program``: name or path of Firecracker (``firecracker_bin`` of the configuration)."""
        self._program = program
        self._config = config

    def prepare(self, spec: MachineSpec, saved: Path | None = None) -> None:
        check_version(find_program(self._program))
        check_files(spec, saved)
        if spec.vcpus > MAX_VCPUS:
            raise BangerError(
                Code.INVALID,
                f"Firecracker gives a VM at most {MAX_VCPUS} processors, not {spec.vcpus}",
                hint=f"banger vm set --vcpu {MAX_VCPUS}, or choose another --vmm",
            )

    async def launch(self, spec: MachineSpec, saved: Path | None = None) -> "FirecrackerMachine":
        api, agent, keys = (
            spec.run / name for name in (files.API_SOCKET, files.AGENT_SOCKET, files.CONSOLE_INPUT)
        )
        for path in (api, agent, keys):
            path.unlink(missing_ok=True)
        os.mkfifo(keys, 0o600)
        names.make_links(spec.run, spec.state, spec.drives)
        names.make_room(spec.state)
        names.link_saved(spec.run, saved)
        vmm_log, console = spec.state / files.VMM_LOG, spec.state / files.CONSOLE_LOG
        vmm_log.write_bytes(b"")
        if self._config.metrics:
            (spec.state / files.METRICS).touch()  # it writes only into a file that exists
        console_start = console.stat().st_size if console.exists() else 0
        argv = firecracker_argv(str(find_program(self._program)), spec.place, api, vmm_log)
        # Opened for reading and writing: a FIFO that has a writer never ends.
        stdin = os.open(keys, os.O_RDWR | os.O_CLOEXEC)
        try:
            process = spawn_detached(argv, vmm_log, stdin=stdin, stdout=console)
        finally:
            os.close(stdin)
        beginning = Beginning(spec, self._config, saved)
        return FirecrackerMachine(spec.place, Watch(process), console_start, beginning)

    def adopt(self, place: VmPlace, process: ProcessId, console_start: int) -> "FirecrackerMachine":
        return FirecrackerMachine(place, Watch(process), console_start, None)


def firecracker_argv(program: str, place: VmPlace, api: Path, log: Path) -> list[str]:
    """``--id`` names the VM in the process table (``DriverInfo.recognises``). The shell becomes
    Firecracker: posix_spawn(3) cannot change the directory everywhere."""
    enter = ["sh", "-c", 'cd "$0" && exec "$@"', str(place.run)]
    words = program_arguments(str(api), str(log))
    return [*enter, program, "--id", process_name(place.vm_id), *words]


class FirecrackerMachine:
    """One running Firecracker; see ``contract.Machine``. ``beginning`` is None for one that an
    earlier supervisor has launched."""

    user_network = None

    def __init__(
        self, place: VmPlace, watch: Watch, console_start: int, beginning: Beginning | None
    ) -> None:
        self._watch = watch
        self._run = place.run
        self._state = place.state
        self._console_start = console_start
        self._beginning = beginning
        self._halted = False
        self._all_tracked = beginning is not None and beginning.tracks_pages
        """Whether the pages that Firecracker knows to be written to are all that are not zero."""
        self._saved = beginning is not None and beginning.saved is not None
        """Whether the guest has yet to learn that it was saved: its vsock connections are gone."""
        self._watching_console: asyncio.Task[None] | None = None

    @property
    def process(self) -> ProcessId:
        return self._watch.process

    @property
    def console_start(self) -> int:
        return self._console_start

    @property
    def agent(self) -> AgentAddress:
        return AgentAddress(self._run / files.AGENT_SOCKET, VSOCK_PORT)

    async def attach(self) -> None:
        """Make the machine and start it, or load it, or find it started."""
        described = await self._described()
        if self._beginning:
            await self._make(self._beginning, parse(str(described.get("vmm_version"))))
        elif described.get("state") == "Not started":
            self.kill()  # the supervisor before this one died before it had sent the requests
            await self._watch.ended()
            raise BangerError(Code.NOT_RUNNING, "the guest of this VMM was never started")
        elif described.get("state") == "Paused":
            self._saved = True  # it may have been
        self._watching_console = asyncio.create_task(self._end_when_halted())

    async def pause(self) -> None:
        await self._ask(PAUSE)

    async def resume(self) -> None:
        await self._ask(RESUME)
        if self._saved:
            self._saved = False
            await await_reset(self.agent.socket)

    async def version(self) -> str:
        described = await self._described()
        return of_states(parse(str(described.get("vmm_version"))))

    async def save(self, _target: Path) -> MemoryForm:
        saving = self._state / files.SAVING
        shown = await self._ask(SHOW_CONFIG)
        if not names.are_relative(shown):
            raise BangerError(
                Code.CONFLICT,
                "this VM was started by an older version of banger, and has to be restarted "
                "before it can be saved",
                hint="restart it: banger vm restart VM",
            )
        await asyncio.to_thread(check_room, saving, shown["machine-config"]["mem_size_mib"] << 20)
        touched, self._all_tracked = self._all_tracked, False
        self._saved = True
        try:
            await undisturbed(self._ask(save_request(touched=touched)))
        except ApiRefusal as refusal:
            empty(saving)
            raise unsaved(refusal.details["fault_message"], saving) from refusal
        return "file"

    async def collect(self, target: Path) -> None:
        await undisturbed(asyncio.to_thread(take_out, self._state / files.SAVING, target))

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        self._watch.kill(signum)

    async def ended(self) -> VmmExit:
        exit_code = await self._watch.ended()
        console = tail(self._state / files.CONSOLE_LOG, self._console_start)
        seen = last_act(console) if self._halted or exit_code in (0, None) else None
        return conclude(seen, exit_code, console, tail(self._state / files.VMM_LOG))

    async def close(self) -> None:
        if self._watching_console:
            self._watching_console.cancel()
        self._watch.close()

    async def _described(self) -> dict[str, Any]:
        """The answer to "describe", as soon as the socket serves; empty for any other answer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CONNECT_SECONDS
        while self._watch.alive and loop.time() < deadline:
            try:
                described = await call(self._run / files.API_SOCKET, _DESCRIBE)
                return described if isinstance(described, dict) else {}
            except BangerError as error:
                if error.code is not Code.UNAVAILABLE:
                    raise
                await asyncio.sleep(_CONNECT_RETRY_SECONDS)
        if not self._watch.alive:
            raise guest_failed(await self.ended(), self._state)
        raise BangerError(Code.TIMEOUT, "Firecracker does not answer on its API socket")

    async def _make(self, beginning: Beginning, version: Version) -> None:
        requests = beginning.requests(version)
        try:
            for request in requests:
                await self._ask(request)
            if beginning.saved:
                for request in limit_requests(await self._ask(SHOW_CONFIG), beginning.config):
                    await self._ask(request)
        except ApiRefusal as refusal:
            log = self._state / files.VMM_LOG
            if refusal.details["path"] == LOAD_PATH:
                raise unloaded(refusal.details["fault_message"], log) from refusal
            refusal.hint = refusal.hint or f"see {log}"
            raise
        except BangerError:
            if self._watch.alive:
                raise
            raise guest_failed(await self.ended(), self._state) from None

    async def _ask(self, request: ApiRequest) -> Any:
        if not self._watch.alive:
            raise BangerError(Code.NOT_RUNNING, "the VMM is gone")
        try:
            return await call(self._run / files.API_SOCKET, request)
        except BangerError as error:
            if error.code is Code.UNAVAILABLE and not self._watch.alive:
                raise BangerError(Code.NOT_RUNNING, "the VMM is gone") from error
            raise

    async def _end_when_halted(self) -> None:
        """End the VMM of a guest that has halted: it would run for ever."""
        console, seen = self._state / files.CONSOLE_LOG, -1
        while self._watch.alive:
            size = console.stat().st_size if console.exists() else 0
            if size != seen and last_act(tail(console, self._console_start)) is ExitReason.POWEROFF:
                self._halted = True
                self.kill(signal.SIGTERM)
                return
            seen = size
            await asyncio.sleep(_LOOK_SECONDS)


def last_act(console: str) -> ExitReason | None:
    """What the last lines of the console say that the guest did, if they say it."""
    for line in reversed(console.splitlines()[-3:]):
        if any(words in line for words in _HALTED):
            return ExitReason.POWEROFF
        if _RESET in line:
            return ExitReason.REBOOT
    return None
