"""Keeps the pool filled while somebody makes VMs, and gives it back when its memory is needed."""

import asyncio
import os
import secrets
import time
from pathlib import Path
from typing import Any

from services.api.context import ApiContext
from services.api.creation.from_pool import hand_over, waits
from services.api.creation.give_back import give_back
from services.api.creation.reservation import reservation, reserve
from services.api.creation.start import start_from
from services.api.machines.vm_view import vmm_of
from services.api.templates.warm_pool import PoolKind
from services.api.unasked.memory_pressure import is_short_of_memory
from services.api.unasked.quiet import is_quiet
from services.api.unasked.template_making import Unattended
from shared.contract.messages.vm import Vm, VmSpec
from shared.contract.names import ID_LENGTHS
from shared.errors import BangerError, Code

LOOK_SECONDS = 1.0
REST_SECONDS = 2.0
"""After a VM was made: its user has the processors then."""
MAKE_SECONDS = 180.0
PRESSURE = 2.0
"""Times that of templates: a user who has just got a VM uses it."""
AGAIN_SECONDS = 60.0
"""After one that could not be made."""


class FillPool:
    """Makes and gives back, one at a time. ``proc``: where the kernel says how busy it is."""

    def __init__(self, context: ApiContext, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._context = context
        self._pool = context.pool
        self._not_before = 0.0

    async def recover(self, vms: list[Vm]) -> None:
        """Go on with what an earlier api left: VMs that wait, and those that were about to be
        handed over. The others are of no use."""
        for vm in vms:
            if waits(self._context, vm):
                await hand_over(self._context, vm, _nobody())
            elif vm.keeper == "pool" and not self._is_made_here(vm):
                await self._take_over(vm)

    async def _take_over(self, vm: Vm) -> None:
        fields = {name: getattr(vm, name) for name in VmSpec.__struct_fields__}
        key = await self._context.templates.key_for(fields, vm.vmm) if self._pool.size else None
        if key and key.key == vm.template and self._context.live(vm).state == "paused":
            if not self._pool.kind:
                self._pool.ask(key, vm)
            self._pool.add(vm.id, vm.template)
        else:
            await self._context.kept.delete(vm)

    def _is_made_here(self, vm: Vm) -> bool:
        return vm.id in self._context.corrections.being_made

    async def run(self) -> None:
        while True:
            await self._pool.asked.wait()
            await self.look()
            if not (self._pool.kind or self._pool.waiting):
                self._pool.asked.clear()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Give back one that is not wanted, or make one that is."""
        self._pool.forget_if_unasked()
        for vm_id in self._pool.waiting:
            if not self._lives(vm_id):
                self._pool.discard(vm_id)
        if superfluous := self._superfluous():
            await give_back(self._context, superfluous)
        elif self._pool.missing and self._may_begin() and await self._can_be_made():
            await self._make()

    def _lives(self, vm_id: str) -> bool:
        """A VMM whose supervisor has just died waits for the next one."""
        supervised = self._context.machines.supervised(vm_id)
        return supervised or vmm_of(vm_id, self._context.paths) is not None

    def _superfluous(self) -> str:
        """The id of a VM that is to be given back."""
        kind = self._pool.kind
        for vm_id, key in self._pool.waiting.items():
            if kind is None or key != kind.key.key or is_short_of_memory(self._proc):
                return vm_id
        return ""

    def _may_begin(self) -> bool:
        templates, kind = self._context.templates, self._pool.kind
        now = time.monotonic()
        if templates.in_the_way.is_set() or self._context.kept.closed or kind is None:
            return False
        if now < max(templates.last_creation + REST_SECONDS, self._not_before):
            return False
        if is_short_of_memory(self._proc, kind.spec.memory_mib << 20):
            return False
        most = PRESSURE * self._context.config.templates.most_pressure
        return is_quiet(self._proc, os.cpu_count() or 1, most)

    async def _can_be_made(self) -> bool:
        """Whether the template is there and still what a new VM would be made of."""
        kind, templates = self._pool.kind, self._context.templates
        if kind is None or not await templates.is_there(kind.key.key):
            return False
        fields = {name: getattr(kind.spec, name) for name in VmSpec.__struct_fields__}
        now = await templates.key_for(fields, kind.key.facts.vmm)
        return now is not None and now.key == kind.key.key

    async def _make(self) -> None:
        """A user's VM that is being made meanwhile comes first."""
        kind = self._pool.kind
        if kind is None:
            return
        making = asyncio.create_task(self._made(kind))
        interrupted = asyncio.create_task(self._context.templates.in_the_way.wait())
        try:
            await asyncio.wait({making, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            if interrupted.done() and not making.done():
                making.cancel()
            await making
        except BangerError as error:
            if not interrupted.done():
                self._not_before = time.monotonic() + AGAIN_SECONDS
                self._context.log.warning("no VM made for the pool", error=str(error))
        except asyncio.CancelledError:
            if not interrupted.done():  # this api stops
                making.cancel()
                raise
        finally:
            interrupted.cancel()

    async def _made(self, kind: PoolKind) -> None:
        context = self._context
        vm = await self._reserve(kind)
        with context.machines.expected(vm.id):
            try:
                async with context.machines.serialised(vm.id):
                    told = await start_from(context, vm, kind.key.key, _nobody(), is_new=True)
                if told.state != "paused":
                    raise BangerError(Code.GUEST_FAILED, f"it is {told.state}: {told.reason}")
            except (BangerError, asyncio.CancelledError):
                if not context.stopping.is_set():
                    await context.completed(context.kept.delete(vm))
                raise
        self._pool.add(vm.id, kind.key.key)
        context.log.info("VM waits in the pool", vm=vm.id, template=kind.key.key)

    async def _reserve(self, kind: PoolKind) -> Vm:
        new_id = secrets.token_hex(ID_LENGTHS["a VM"] // 2)
        fields = {name: getattr(kind.spec, name) for name in VmSpec.__struct_fields__}
        own: dict[str, Any] = {"keeper": "pool", "template": kind.key.key}
        request = secrets.token_hex(16)
        row = reservation(self._context, new_id, [new_id], request, fields | own, starts=True)
        return await reserve(self._context, row)


def _nobody() -> Unattended:
    return Unattended(time.monotonic() + MAKE_SECONDS)
