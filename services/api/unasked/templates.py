"""Makes templates of what was booted lately, while nobody needs the machine for anything else."""

import asyncio
import contextlib
import os
import time
from collections import Counter
from pathlib import Path

from services.api.context import ApiContext
from services.api.policy.copy_room import available_memory
from services.api.templates.upkeep import Upkeep
from services.api.templates.wanted import WantedTemplate
from services.api.unasked.quiet import is_quiet
from services.api.unasked.template_making import TemplateMaker
from shared.errors import BangerError

LOOK_SECONDS = 2.0
UPKEEP_SECONDS = 3600.0
"""Between looks whether all templates are of use, when nothing else is to be done."""
MOST_PUT_OFF = 2
"""How often users' VMs cancel the making of one template. Who makes a VM every few seconds has the
most use of it, and would never get it."""
SPARE_BYTES = 512 << 20
"""Memory that is left, beside the guest's own, while one is made."""


class MakeTemplates:
    """One at a time. A user's VM that is being made comes first: it cancels the making, which is
    tried again later."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._templates = context.templates
        self._config = context.config.templates
        self._maker = TemplateMaker(context)
        self._put_off: Counter[str] = Counter()
        """How often each key's template was put off."""
        self._upkeep = Upkeep(context.templates, context.paths)

    async def run(self) -> None:
        await asyncio.to_thread(self._templates.library.sweep)
        while True:
            for key in await self._upkeep.remove_useless():
                self._context.log.info("template removed: it is of no use any more", key=key)
            while wanted := await self._missing():
                if self._may_begin(wanted):
                    await self._make(wanted)
                await asyncio.sleep(LOOK_SECONDS)
            self._templates.asked.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._templates.asked.wait(), UPKEEP_SECONDS)

    async def _missing(self) -> WantedTemplate | None:
        """The template that was asked for last, of those that are not there and can be made."""
        for wanted in self._templates.wanted.still():
            if self._templates.is_struck(wanted.key):
                continue
            if await self._templates.is_there(wanted.key):
                continue
            fields = {name: getattr(wanted.spec, name) for name in wanted.spec.__struct_fields__}
            now = await self._templates.key_for(fields, wanted.facts.vmm)
            if now and now.key == wanted.key:
                return wanted
            self._templates.wanted.drop(wanted.key)
        return None

    def _may_begin(self, wanted: WantedTemplate) -> bool:
        idle = time.monotonic() - self._templates.last_creation
        if (
            self._templates.in_the_way.is_set()
            or idle < self._config.quiet_seconds
            or self._context.kept.closed
        ):
            return False
        if available_memory() < (wanted.spec.memory_mib << 20) + SPARE_BYTES:
            return False
        return is_quiet(Path("/proc"), os.cpu_count() or 1, self._config.most_pressure)

    async def _make(self, wanted: WantedTemplate) -> None:
        log = self._context.log
        making = asyncio.create_task(self._maker.make(wanted))
        interrupted = asyncio.create_task(self._interrupted(wanted.key))
        try:
            await asyncio.wait({making, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            if interrupted.done() and not making.done():
                making.cancel()
            await making
            await asyncio.to_thread(self._templates.wanted.save)
            del self._put_off[wanted.key]
            log.info("template made", key=wanted.key, image=wanted.spec.image_name)
        except BangerError as error:
            self._templates.strike(wanted.key)
            log.warning("template not made", key=wanted.key, error=str(error))
        except asyncio.CancelledError:
            if not interrupted.done():  # this api stops
                making.cancel()
                raise
            self._put_off[wanted.key] += 1
            log.info("template not made: a user's VM is made first", key=wanted.key)
        finally:
            interrupted.cancel()

    async def _interrupted(self, key: str) -> None:
        """Return when a user's VM is being made and the guest is not about to be saved. Never when
        this template was put off before as often as it may be."""
        while True:
            await self._templates.in_the_way.wait()
            if not self._maker.saves and self._put_off[key] < MOST_PUT_OFF:
                return
            await asyncio.sleep(LOOK_SECONDS)
