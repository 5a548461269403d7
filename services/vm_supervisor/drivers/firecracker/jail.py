"""Firecracker in a jail: ``nat`` starts and signals it, and requests name the paths inside.

A supervisor may not start or signal a process of another uid. It may watch the process by pidfd and
use its socket. Everything else is as without a jail.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from services.vm_supervisor.drivers.contract import (
    Driver,
    ExitReason,
    Jailer,
    MachineSpec,
    VmmExit,
    VmPlace,
)
from services.vm_supervisor.drivers.exit import guest_failed, last_line_with, tail
from services.vm_supervisor.drivers.firecracker import names
from services.vm_supervisor.drivers.firecracker.driver import FirecrackerDriver, FirecrackerMachine
from services.vm_supervisor.drivers.firecracker.requests import Beginning
from shared.config import Config, FirecrackerConfig
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, Watch
from shared.vm import files, jail

_RETRY_SECONDS = 0.2
"""Between attempts to reach a nat that is being restarted."""


class JailingDriver(FirecrackerDriver):
    """See ``contract.Driver``. Jails what it launches when ``firecracker.jailer`` is set, and takes
    over VMMs with a jail and without: the setting may have changed since their launch."""

    def __init__(self, program: str, config: FirecrackerConfig, jailer: Jailer) -> None:
        super().__init__(program, config)
        self._jailer = jailer

    async def launch(self, spec: MachineSpec, saved: Path | None = None) -> FirecrackerMachine:
        if not self._config.jailer:
            return await super().launch(spec, saved)
        sockets = make_ready(spec, self._config, saved)
        console_start = (spec.state / files.CONSOLE_LOG).stat().st_size
        process = await self._jailer.jail(spec.place.vm_id, base_ids(spec))
        beginning = Beginning(seen_from_inside(spec), self._config, saved)
        watch = _watch(process, spec.state)
        return self._jailed(replace(spec.place, run=sockets), watch, console_start, beginning)

    def adopt(self, place: VmPlace, process: ProcessId, console_start: int) -> FirecrackerMachine:
        if not jail.is_jailed(process):
            return super().adopt(place, process, console_start)
        inside = replace(place, run=jail.sockets_of(place.run))
        return self._jailed(inside, Watch(process), console_start, None)

    def _jailed(
        self, place: VmPlace, watch: Watch, console_start: int, beginning: Beginning | None
    ) -> "JailedMachine":
        signal_it = partial(self._jailer.signal, place.vm_id)
        return JailedMachine(signal_it, place, watch, console_start, beginning)


def make_driver(config: Config, jailer: Jailer) -> Driver:
    """The driver as the configuration has it."""
    return JailingDriver(config.firecracker_bin, config.firecracker, jailer)


class JailedMachine(FirecrackerMachine):
    """A Firecracker of a jail's uid. ``place.run``: the directory that its jail has as /vm."""

    def __init__(
        self,
        signal_it: Callable[[signal.Signals], Awaitable[None]],
        place: VmPlace,
        watch: Watch,
        console_start: int,
        beginning: Beginning | None,
    ) -> None:
        super().__init__(place, watch, console_start, beginning)
        self._signal_it = signal_it
        self._signalling: set[asyncio.Task[None]] = set()

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        task = asyncio.create_task(self._signal(signum))
        self._signalling.add(task)
        task.add_done_callback(self._signalling.discard)

    async def _signal(self, signum: signal.Signals) -> None:
        """Ask nat until it answers. A nat that was away ends the VMM itself when it is back."""
        while self._watch.alive:
            try:
                await self._signal_it(signum)
                return
            except BangerError as error:
                if error.code not in (Code.UNAVAILABLE, Code.TIMEOUT, Code.BUSY):
                    return
            await asyncio.sleep(_RETRY_SECONDS)

    async def ended(self) -> VmmExit:
        """The exit status of a process that is no child is unknown. Its log may say why."""
        end = await super().ended()
        never_served = self._watching_console is None and self._beginning is not None
        return _crash(self._state) if never_served and end.reason is ExitReason.UNKNOWN else end


def make_ready(spec: MachineSpec, config: FirecrackerConfig, saved: Path | None = None) -> Path:
    """Make the files that ``nat`` looks for; returns the directory of the sockets."""
    names.make_room(spec.state)
    names.link_saved(spec.run, saved)
    if saved:
        let_jails_read(saved)
    sockets = jail.sockets_of(spec.run)
    sockets.mkdir(mode=0o700, exist_ok=True)
    keys = spec.run / files.CONSOLE_INPUT
    keys.unlink(missing_ok=True)  # what the last jail left among the sockets, nat removes
    os.mkfifo(keys, 0o600)
    (spec.state / files.VMM_LOG).write_bytes(b"")
    (spec.state / files.CONSOLE_LOG).touch(mode=0o600)
    if config.metrics:
        (spec.state / files.METRICS).touch(mode=0o600)
    return sockets


def let_jails_read(saved: Path) -> None:
    """Each jail has a group of its own, and several may be started from one saved machine. The
    directories above it keep other users out."""
    for name in (files.MEMORY, files.DEVICE_STATE):
        (saved / name).chmod(0o644)


def seen_from_inside(spec: MachineSpec) -> MachineSpec:
    """The same VM with the paths that Firecracker knows its files by. The drives have the same
    names everywhere (names.py)."""
    place = replace(spec.place, run=jail.VM, state=jail.LOGS)
    return replace(spec, kernel=jail.BOOT, initrd=jail.INITRD, place=place)


def base_ids(spec: MachineSpec) -> list[str]:
    """The ids of the images below the VM's own: their directories have them as names."""
    return [path.parent.name for path in spec.drives.bases]


def _watch(process: ProcessId, state: Path) -> Watch:
    """Raises ``guest_failed`` with the jailer's last words when it has died meanwhile."""
    try:
        return Watch(process)
    except BangerError:
        raise guest_failed(_crash(state), state) from None


def _crash(state: Path) -> VmmExit:
    said = last_line_with(tail(state / files.VMM_LOG), "")
    return VmmExit(ExitReason.CRASHED, said or "the jailer ended as it began")
