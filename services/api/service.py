"""User verbs turned into work for the other services.

The api keeps nothing that matters: rows are the store's, running machines their supervisors'. So
it may die at any time; its successor finds everything again (``_recover``).
"""

import asyncio
import os
import secrets
import time
from typing import Any, TypeVar

from services.api import names
from services.api.machines import QUICK, Machines, supervisor_spec
from services.api.sizing import Host, choose_sizes
from services.api.supervisors import Supervisors
from services.api.truth import checked, view
from shared.bus.actor import Actor, Call, own, verb
from shared.config import Config
from shared.errors import BangerError, Code
from shared.lifecycle import LIVE, Verb, check
from shared.logs import Log, log_context
from shared.messages.image import Image, Kernel, Resolve
from shared.messages.vm import (
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

T = TypeVar("T")


class Api(Actor):
    """Service ``api``."""

    def __init__(self, paths: Paths, log: Log, config: Config) -> None:
        super().__init__("api", paths, log)
        self._config = config
        self._supervisors = Supervisors(
            paths,
            log,
            spec_of=self._spec_of,
            on_end=self._supervisor_ended,
            give_up=self._supervisor_lost,
        )
        self._machines = Machines(self, self._supervisors)
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

    # -- verbs ------------------------------------------------------------------------------

    @verb("vm.list", Nothing)
    async def list_vms(self, _request: Nothing, _call: Call) -> VmList:
        return VmList(vms=[view(vm, self.paths) for vm in await self._rows()])

    @verb("vm.show", VmRef)
    async def show(self, request: VmRef, _call: Call) -> VmView:
        return await self._full_view(await self._find(request.ref))

    @verb("vm.create", VmCreate)
    async def create(self, request: VmCreate, call: Call) -> VmView:
        reservation = await self._plan(request, call)
        vm = await self.call("store", "vm.reserve", reservation, Vm, deadline=call.deadline)
        with log_context(vm=vm.id):
            if not request.start:
                return view(vm, self.paths)
            try:
                async with self._machines.serialised(vm.id):
                    await self._machines.boot(vm, call)
            except (BangerError, asyncio.CancelledError) as error:
                await self._undo_creation(vm, error)
                raise
            return await self._full_view(await self._find(vm.id))

    @verb("vm.start", VmRef)
    async def start(self, request: VmRef, call: Call) -> VmView:
        vm = await self._find(request.ref)
        async with self._machines.serialised(vm.id):
            vm = await self._find(vm.id)
            if check(vm.name, vm.state, Verb.START):
                await self._machines.boot(vm, call)
        return await self._full_view(await self._find(vm.id))

    @verb("vm.stop", VmStop)
    async def stop(self, request: VmStop, call: Call) -> VmView:
        # Not serialised with the start: stopping is what one does when a start takes too long.
        vm = await self._find(request.ref)
        if check(vm.name, vm.state, Verb.STOP):
            await self._machines.stop(vm, request.timeout, call)
        return view(await self._find(vm.id), self.paths)

    @verb("vm.kill", VmRef)
    async def kill(self, request: VmRef, _call: Call) -> VmView:
        vm = await self._find(request.ref)
        if check(vm.name, vm.state, Verb.KILL):
            await self._machines.end(vm)
        return view(await self._find(vm.id), self.paths)

    @verb("vm.delete", VmRef)
    async def delete(self, request: VmRef, _call: Call) -> VmView:
        vm = await self._find(request.ref)
        shown = view(vm, self.paths)
        await self._machines.end(vm)
        async with self._machines.serialised(vm.id):
            await self._remove(vm)
        return shown

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
        taken = {vm.name for vm in await self._rows()}
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

        async def ask(name: str, ref: str, kind: type[T]) -> T:
            return await self.call(
                "images",
                name,
                Resolve(ref=ref),
                kind,
                deadline=call.deadline,
                on_partial=call.progress,
            )

        return await asyncio.gather(
            ask("image.resolve", image_ref or defaults.image, Image),
            ask("kernel.resolve", defaults.kernel, Kernel),
        )

    async def _undo_creation(self, vm: Vm, error: BaseException) -> None:
        """A VM whose VMM never ran leaves nothing; one that did is kept for a post-mortem."""
        rows = {row.id: row for row in await self._rows_when_there()}
        if vm.id not in rows:
            return  # deleted meanwhile
        if isinstance(error, BangerError) and rows[vm.id].state == "failed":
            error.details["kept"] = vm.name
            error.hint = f"{error.hint}; delete it with: banger vm delete {vm.name}".lstrip("; ")
            return
        await self._machines.end(vm)
        await self._remove(vm)

    async def _remove(self, vm: Vm) -> None:
        """Files first, so that a row never says less than the disk."""
        await self._machines.remove_files(vm.id)
        await self._ask_store("vm.remove", VmId(id=vm.id), dict[str, Any])

    # -- supervisors ------------------------------------------------------------------------

    async def _spec_of(self, vm_id: str) -> SupervisorSpec:
        return supervisor_spec(await self._find(vm_id), self.paths)

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
            await self._ask_store("vm.update", update, Vm)
        except BangerError as error:
            self.log.warning("row not corrected", vm=vm.id, error=error.message)

    async def _supervisor_lost(self, vm_id: str, reason: str) -> None:
        self.log.error("supervisor given up", vm=vm_id, reason=reason)
        await self._ask_store("vm.update", VmUpdate(id=vm_id, state="failed", reason=reason), Vm)

    # -- what is true -----------------------------------------------------------------------

    async def _ask_store(self, name: str, body: Any, kind: type[T]) -> T:
        return await self.call("store", name, body, kind, deadline=time.monotonic() + QUICK)

    async def _raw_rows(self) -> list[Vm]:
        return (await self._ask_store("vm.list", Nothing(), VmRows)).vms

    async def _rows_when_there(self) -> list[Vm]:
        """The store may still be starting: every service starts at the same time."""
        while True:
            try:
                return await self._raw_rows()
            except BangerError as error:
                if error.code not in (Code.UNAVAILABLE, Code.TIMEOUT):
                    raise
                await asyncio.sleep(0.05)

    async def _rows(self) -> list[Vm]:
        knows = self._supervisors.knows
        rows = await self._raw_rows()
        return [checked(vm, self.paths, supervised=knows(vm.id)) for vm in rows]

    async def _find(self, ref: str) -> Vm:
        return names.find(ref, await self._rows())

    async def _full_view(self, vm: Vm) -> VmView:
        """With what only the supervisor knows; without it when it does not answer quickly."""
        shown = view(vm, self.paths)
        if vm.state == "running" and self._supervisors.serves(vm.id):
            try:
                shown.ports = (await self._machines.status(vm, 1.0)).ports
            except BangerError as error:
                self.log.warning("no status from the supervisor", vm=vm.id, error=error.message)
        return shown


def _host() -> Host:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Host(cpus=os.cpu_count() or 1, memory_mib=memory // (1024 * 1024))
