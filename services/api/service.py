"""User verbs turned into work for the other services, and the truth about every VM.

The api keeps nothing that matters: rows are the store's, running machines their supervisors'. It
serialises verbs per VM, never globally (runtime rule 26).
"""

import asyncio
import os
import secrets
import shutil
import time
from typing import Any

from services.api import names
from services.api.sizing import Host, choose_sizes
from services.api.supervisors import Supervisors
from shared.bus.actor import Actor, Call, own, verb
from shared.config import Config
from shared.errors import BangerError, Code
from shared.handle import read_handle
from shared.lifecycle import LIVE, Verb, check
from shared.logs import Log, log_context
from shared.messages.image import Image, Kernel, Resolve
from shared.messages.vm import (
    MachineStatus,
    MachineStop,
    Nothing,
    SupervisorReady,
    SupervisorSpec,
    Vm,
    VmCreate,
    VmId,
    VmList,
    VmRef,
    VmReserve,
    VmRows,
    VmStop,
    VmUpdate,
    VmView,
)
from shared.paths import Paths

QUICK = 10.0
"""Deadline in seconds for questions that others answer at once."""


class Api(Actor):
    """Service ``api``."""

    def __init__(self, paths: Paths, log: Log, config: Config) -> None:
        super().__init__("api", paths, log)
        self._config = config
        self._locks: dict[str, asyncio.Lock] = {}
        self._supervisors = Supervisors(
            paths,
            log,
            spec_of=self._spec_of,
            on_end=self._supervisor_ended,
            give_up=self._supervisor_lost,
        )
        self._recovery: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        self._lock = await own(self.paths.run / "api.lock")
        self._recovery = asyncio.create_task(self._recover())
        self._supervisors.prepare_spare()

    async def on_stop(self) -> None:
        if self._recovery:
            self._recovery.cancel()
        self._supervisors.close()

    async def _recover(self) -> None:
        """After a start: believe what runs, and correct rows that say otherwise."""
        vms = await self._rows_when_there()
        for vm in await self._supervisors.recover(vms):
            await self._correct(vm, "its VMM was gone when the services started")

    async def _rows_when_there(self) -> list[Vm]:
        """The store may still be starting: every service starts at the same time."""
        while True:
            try:
                return await self._raw_rows()
            except BangerError as error:
                if error.code not in (Code.UNAVAILABLE, Code.TIMEOUT):
                    raise
                await asyncio.sleep(0.05)

    # -- verbs ------------------------------------------------------------------------------

    @verb("vm.list", Nothing)
    async def list_vms(self, _request: Nothing, _call: Call) -> VmList:
        return VmList(vms=[self._view(vm) for vm in await self._rows()])

    @verb("vm.show", VmRef)
    async def show(self, request: VmRef, _call: Call) -> VmView:
        return await self._full_view(await self._find(request.ref))

    @verb("vm.create", VmCreate)
    async def create(self, request: VmCreate, call: Call) -> VmView:
        reservation = await self._plan(request, call)
        vm = await self.call("store", "vm.reserve", reservation, Vm, deadline=call.deadline)
        with log_context(vm=vm.id):
            if not request.start:
                return self._view(vm)
            try:
                async with self._serialised(vm.id):
                    return await self._boot(vm, call)
            except (BangerError, asyncio.CancelledError) as error:
                await self._undo_creation(vm, error)
                raise

    @verb("vm.start", VmRef)
    async def start(self, request: VmRef, call: Call) -> VmView:
        vm = await self._find(request.ref)
        async with self._serialised(vm.id):
            vm = await self._find(vm.id)
            if not check(vm.name, vm.state, Verb.START):
                return await self._full_view(vm)
            return await self._boot(vm, call)

    @verb("vm.stop", VmStop)
    async def stop(self, request: VmStop, call: Call) -> VmView:
        vm = await self._find(request.ref)
        async with self._serialised(vm.id):
            vm = await self._find(vm.id)
            if check(vm.name, vm.state, Verb.STOP):
                await self._machine(vm, "machine.stop", MachineStop(timeout=request.timeout), call)
                await self._supervisors.ended(vm.id)
            return self._view(await self._find(vm.id))

    @verb("vm.kill", VmRef)
    async def kill(self, request: VmRef, call: Call) -> VmView:
        # Not serialised: kill is what one does when a start or a stop hangs.
        vm = await self._find(request.ref)
        if check(vm.name, vm.state, Verb.KILL):
            await self._end(vm, call)
        return self._view(await self._find(vm.id))

    @verb("vm.delete", VmRef)
    async def delete(self, request: VmRef, call: Call) -> VmView:
        vm = await self._find(request.ref)
        view = self._view(vm)
        await self._end(vm, call)
        async with self._serialised(vm.id):
            await self._remove(vm)
        return view

    @verb("supervisor.ready", SupervisorReady)
    async def supervisor_ready(self, request: SupervisorReady, _call: Call) -> None:
        self._supervisors.on_ready(request.id)

    # -- creation ---------------------------------------------------------------------------

    async def _plan(self, request: VmCreate, call: Call) -> VmReserve:
        """Everything that can be refused is refused here, before there is a row."""
        if request.name is not None:
            names.check_name(request.name)
        sizes = choose_sizes(request, self._config.defaults, _host())
        call.progress("spec", str(sizes))
        taken = [vm.name for vm in await self._rows()]
        if request.name in taken:
            raise _name_taken(request.name)
        image, kernel = await self._resolve(request.image, call)
        mode = self._config.network_mode
        return VmReserve(
            id=secrets.token_hex(6),
            name=request.name or names.random_name(taken, secrets.randbits(32)),
            image_id=image.id,
            image_name=image.name,
            kernel_id=kernel.id,
            vcpu=sizes.vcpu,
            memory_mib=sizes.memory_mib,
            disk_bytes=sizes.disk_bytes,
            overlay_bytes=sizes.overlay_bytes,
            nat=request.nat,
            network=mode,
            subnet=self._config.user_subnet if mode == "user" else self._config.nat.subnet,
            request_id=call.request_id,
        )

    async def _resolve(self, image_ref: str | None, call: Call) -> tuple[Image, Kernel]:
        """Image and kernel, built or pulled when they are not here yet."""
        defaults = self._config.defaults

        async def ask(name: str, ref: str, kind: type[Any]) -> Any:
            return await self.call(
                "images",
                name,
                Resolve(ref=ref),
                kind,
                deadline=call.deadline,
                on_partial=call.progress,
            )

        image, kernel = await asyncio.gather(
            ask("image.resolve", image_ref or defaults.image, Image),
            ask("kernel.resolve", defaults.kernel, Kernel),
        )
        return image, kernel

    async def _undo_creation(self, vm: Vm, error: BaseException) -> None:
        """A VM whose VMM never ran leaves nothing; one that did is kept for a post-mortem."""
        rows = {row.id: row for row in await self._rows_when_there()}
        if vm.id not in rows:
            return  # deleted meanwhile
        if isinstance(error, BangerError) and rows[vm.id].state == "failed":
            error.details["kept"] = vm.name
            error.hint = f"{error.hint}; delete it with: banger vm delete {vm.name}".lstrip("; ")
            return
        await self._end_now(vm)
        await self._remove(vm)

    # -- machines ---------------------------------------------------------------------------

    async def _boot(self, vm: Vm, call: Call) -> VmView:
        for last_try in (False, True):
            await self._supervisors.ensure(self._spec(vm))
            try:
                await self._machine(vm, "machine.start", Nothing(), call)
                break
            except BangerError as error:
                if last_try or error.code is not Code.UNAVAILABLE:
                    raise
                # That one was leaving, or was killed while the guest booted: ask its successor.
                await self._supervisors.ended(vm.id)
        return await self._full_view(await self._find(vm.id))

    async def _machine(self, vm: Vm, name: str, body: Any, call: Call) -> MachineStatus:
        return await self.call(
            f"vm:{vm.id}",
            name,
            body,
            MachineStatus,
            deadline=call.deadline,
            on_partial=call.progress,
        )

    async def _end(self, vm: Vm, call: Call) -> None:
        if self._supervisors.serves(vm.id):
            await self._machine(vm, "machine.kill", Nothing(), call)
            await self._supervisors.ended(vm.id)

    async def _end_now(self, vm: Vm) -> None:
        """Like ``_end`` for a call whose own deadline has passed."""
        if self._supervisors.serves(vm.id):
            body, deadline = Nothing(), time.monotonic() + QUICK
            name = f"vm:{vm.id}"
            await self.call(name, "machine.kill", body, MachineStatus, deadline=deadline)
            await self._supervisors.ended(vm.id)

    async def _remove(self, vm: Vm) -> None:
        """Take away what a VM has: files first, so that a row never says less than the disk."""
        for directory in (self.paths.vm_run(vm.id), self.paths.vm_state(vm.id)):
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=False, onerror=_missing)
        deadline = time.monotonic() + QUICK
        await self.call("store", "vm.remove", VmId(id=vm.id), dict[str, Any], deadline=deadline)
        self._locks.pop(vm.id, None)

    def _spec(self, vm: Vm) -> SupervisorSpec:
        return SupervisorSpec(
            vm=vm,
            image=str(self.paths.images / vm.image_id),
            kernel=str(self.paths.kernels / vm.kernel_id),
        )

    async def _spec_of(self, vm_id: str) -> SupervisorSpec:
        return self._spec(await self._find(vm_id))

    async def _supervisor_ended(self, vm_id: str) -> None:
        for vm in await self._rows_when_there():
            if vm.id == vm_id:
                await self._correct(vm, "its supervisor and its VMM ended")

    async def _correct(self, vm: Vm, reason: str) -> None:
        """Nothing of this VM runs; a row that says otherwise is set right."""
        if vm.state not in LIVE:
            return
        update = VmUpdate(id=vm.id, state="stopped", reason=reason, expected=list(LIVE))
        try:
            await self._update(update)
        except BangerError as error:
            self.log.warning("row not corrected", vm=vm.id, error=error.message)

    async def _supervisor_lost(self, vm_id: str, reason: str) -> None:
        self.log.error("supervisor given up", vm=vm_id, reason=reason)
        await self._update(VmUpdate(id=vm_id, state="failed", reason=reason))

    def _serialised(self, vm_id: str) -> asyncio.Lock:
        return self._locks.setdefault(vm_id, asyncio.Lock())

    # -- what is true -----------------------------------------------------------------------

    async def _raw_rows(self) -> list[Vm]:
        deadline = time.monotonic() + QUICK
        return (await self.call("store", "vm.list", Nothing(), VmRows, deadline=deadline)).vms

    async def _rows(self) -> list[Vm]:
        return [self._checked(vm) for vm in await self._raw_rows()]

    async def _find(self, ref: str) -> Vm:
        return names.find(ref, await self._rows())

    async def _update(self, update: VmUpdate) -> None:
        await self.call("store", "vm.update", update, Vm, deadline=time.monotonic() + QUICK)

    def _checked(self, vm: Vm) -> Vm:
        """A row that says a VMM runs is held against the process table."""
        if vm.state not in LIVE or (vm.state == "starting" and self._supervisors.knows(vm.id)):
            return vm
        handle = read_handle(self.paths.vm_run(vm.id))
        if handle is None or not handle.alive:
            vm.state, vm.reason = "stopped", vm.reason or "its VMM is gone"
        return vm

    def _view(self, vm: Vm) -> VmView:
        view = VmView(vm=vm, console_log=str(self.paths.vm_state(vm.id) / "console.log"))
        handle = read_handle(self.paths.vm_run(vm.id)) if vm.state in LIVE else None
        if handle and handle.alive:
            view.pid, view.accel, view.boot_id = handle.pid, handle.accel, handle.guest_boot
            view.access = handle.access if handle.ready else None
        return view

    async def _full_view(self, vm: Vm) -> VmView:
        """With what only the supervisor knows; without it when it does not answer quickly."""
        view = self._view(vm)
        if vm.state == "running" and self._supervisors.serves(vm.id):
            deadline = time.monotonic() + 1.0
            try:
                status = await self.call(
                    f"vm:{vm.id}", "machine.status", Nothing(), MachineStatus, deadline=deadline
                )
            except BangerError as error:
                self.log.warning("no status from the supervisor", vm=vm.id, error=error.message)
            else:
                view.ports = status.ports
        return view


def _host() -> Host:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Host(cpus=os.cpu_count() or 1, memory_mib=memory // (1024 * 1024))


def _name_taken(name: str | None) -> BangerError:
    return BangerError(
        Code.CONFLICT,
        f"a VM named {name!r} exists already",
        hint=f"choose another --name, or: banger vm delete {name}",
    )


def _missing(_function: Any, _path: str, error: Any) -> None:
    """A file that is gone already is what we want (rmtree's onerror)."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]
