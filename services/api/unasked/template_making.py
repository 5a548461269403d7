"""Makes a template: boots a VM that nobody uses, lets its guest settle, and saves it.

It is never made of a user's VM: that has a user from the moment when it answers, and what he puts
there must not be in the machines of others.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Any

from services.api.context import ApiContext
from services.api.creation.reservation import reservation, reserve
from services.api.templates.wanted import WantedTemplate
from shared.contract.guest_command import GuestCommand, text_of
from shared.contract.messages.vm import Vm, VmSpec
from shared.contract.names import ID_LENGTHS
from shared.contract.verbs import supervisor
from shared.errors import BangerError, Code
from shared.host.files import require_space
from shared.plain_text import printable

MAKE_SECONDS = 900.0
SETTLE = ["/run/initramfs/bin/sh", "/run/initramfs/settle"]
SETTLE_SECONDS = 60
QUIET_SHARE = 0.05
"""Of one processor: what a guest that has settled takes at most."""
QUIET_SECONDS = 2.0
LONGEST_UNREST = 30.0
"""A guest that is not quiet by then is saved as it is."""
LONGEST_WORDS = 200
MIB = 1 << 20


@dataclass(frozen=True)
class Unattended:
    """A ``Caller`` whom nobody waits for."""

    deadline: float

    def progress(self, stage: str, message: str, fraction: float | None = None) -> None:
        """Nobody hears it."""


class TemplateMaker:
    """One template at a time. ``saves``: whether the guest is ready, so that what is left takes a
    moment."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self.saves = False

    async def make(self, wanted: WantedTemplate) -> None:
        """Make and publish it. Whatever happens, its VM is gone at the end.

        Raises:
            BangerError: ``no_space``, ``not_found`` for an image or a kernel that is gone,
                ``guest_failed``.
        """
        context, spec = self._context, wanted.spec
        self.saves = False
        library, call = context.templates.library, Unattended(time.monotonic() + MAKE_SECONDS)
        require_space(library.directory, 2 * spec.memory_mib * MIB, "a template")
        vm = await self._reserve(wanted)
        with context.machines.expected(vm.id):
            try:
                async with context.machines.serialised(vm.id):
                    await context.machines.boot(vm, call, is_new=True)
                await context.machines.await_stage(vm, "system", call)
                await self._await_quiet(vm, call)
                self.saves = True
                await self._settle(vm, call)
                target = await asyncio.to_thread(library.draft, wanted.key)
                await context.machines.save(vm, target, call)
                await asyncio.to_thread(library.publish, wanted.key, wanted.facts, spec.image_name)
            finally:
                self.saves = False
                if not context.stopping.is_set():
                    await context.completed(context.kept.delete(vm))

    async def _reserve(self, wanted: WantedTemplate) -> Vm:
        new_id = secrets.token_hex(ID_LENGTHS["a VM"] // 2)
        fields = {name: getattr(wanted.spec, name) for name in VmSpec.__struct_fields__}
        own: dict[str, Any] = {"keeper": "template", "template": wanted.key}
        request = secrets.token_hex(16)
        row = reservation(self._context, new_id, [new_id], request, fields | own, starts=True)
        return await reserve(self._context, row)

    async def _settle(self, vm: Vm, call: Unattended) -> None:
        """The guest's own part (guest/rootfs/settle)."""
        script = supervisor.EXEC(text=text_of(GuestCommand(SETTLE), ""), seconds=SETTLE_SECONDS)
        done = await self._context.ask(script.at(vm.id), deadline=call.deadline)
        if done.status:
            said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            words = printable(said, LONGEST_WORDS) or f"its script ended with {done.status}"
            raise BangerError(Code.GUEST_FAILED, f"the guest does not settle: {words}")

    async def _await_quiet(self, vm: Vm, call: Unattended) -> None:
        """Return when the guest does next to nothing, or has not calmed down for long."""
        limit = time.monotonic() + LONGEST_UNREST
        before = await self._context.ask(supervisor.STATS().at(vm.id), deadline=call.deadline)
        while time.monotonic() < limit:
            await asyncio.sleep(QUIET_SECONDS)
            now = await self._context.ask(supervisor.STATS().at(vm.id), deadline=call.deadline)
            took, passed = now.cpu_seconds - before.cpu_seconds, now.at - before.at
            if took <= QUIET_SHARE * passed:
                return
            before = now
