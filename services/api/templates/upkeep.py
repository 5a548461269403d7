"""Which templates are of no use any more, and why."""

import asyncio
import time
from datetime import UTC, datetime

from services.api.templates.library import TemplateRecord
from services.api.templates.templates import Templates
from services.api.templates.wanted import WANTED_SECONDS
from shared.contract.messages.template import Template
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.plain_text import printable
from shared.vm.saved import read_saved

LONGEST_PROBLEM = 500


class Upkeep:
    """Looks at all templates."""

    def __init__(self, templates: Templates, paths: Paths) -> None:
        self._templates = templates
        self._library = templates.library
        self._paths = paths

    async def views(self, *, check: bool = False, only: str = "") -> list[Template]:
        """All of them, or ``only`` one, with their problems. ``check``: read the memory too."""
        keys = await asyncio.to_thread(self._library.keys)
        return [await self._view(key, check=check) for key in keys if only in ("", key)]

    async def remove_useless(self) -> list[str]:
        """Remove those that no VM will be made of, and those that exceed the limit; their keys."""
        gone = [view.key for view in await self.views() if view.problems]
        for key in gone:
            await asyncio.to_thread(self._library.remove, key)
        return gone + await asyncio.to_thread(self._library.keep_limit)

    async def remove_of(self, *, image_id: str = "", kernel_id: str = "") -> None:
        """Remove those of an image or a kernel that is about to be deleted."""
        for record in await asyncio.to_thread(lambda: list(self._library.records())):
            if record.facts.image_id == image_id or record.facts.kernel_id == kernel_id:
                await asyncio.to_thread(self._library.remove, record.key)

    async def _view(self, key: str, *, check: bool) -> Template:
        record = await asyncio.to_thread(self._library.record, key)
        used_at = _rfc3339(self._library.used_at(key))
        real_bytes = await asyncio.to_thread(self._library.real_bytes, key)
        if record is None:
            problems = ["its record cannot be read"]
            return Template(key=key, used_at=used_at, real_bytes=real_bytes, problems=problems)
        facts = record.facts
        view = Template(
            key=key,
            image_id=facts.image_id,
            image_name=record.image_name,
            kernel_id=facts.kernel_id,
            vmm=facts.vmm,
            vmm_version=facts.vmm_version,
            accel=facts.accel,
            cpu=facts.cpu,
            vcpu=facts.vcpu,
            memory_mib=facts.memory_mib,
            disk_bytes=facts.disk_bytes,
            overlay_bytes=facts.overlay_bytes,
            made_at=_rfc3339(record.made_at),
            used_at=used_at,
            uses=record.uses,
            real_bytes=real_bytes,
        )
        view.problems = await self._problems(record)
        if check and not view.problems:
            view.problems = await asyncio.to_thread(self._damage, key)
        return view

    async def _problems(self, record: TemplateRecord) -> list[str]:
        facts = record.facts
        if not (self._paths.images / facts.image_id).is_dir():
            return ["its image is gone"]
        if not (self._paths.kernels / facts.kernel_id).is_dir():
            return ["its kernel is gone"]
        fields = {name: getattr(facts, name) for name in facts.__struct_fields__}
        now = await self._templates.key_for(fields, facts.vmm)
        if now is None or now.key != record.key:
            return ["the VMM, the processor, the kernel or banger has changed since it was made"]
        if self._library.is_too_old(record):
            return ["it is too old"]
        if time.time() - self._library.used_at(record.key) > WANTED_SECONDS:
            return ["nobody has used it for a week"]
        return []

    def _damage(self, key: str) -> list[str]:
        try:
            read_saved(self._library.place(key))
        except BangerError as error:
            return [printable(error.message, LONGEST_PROBLEM)]
        return []


def find_template(views: list[Template], ref: str) -> Template:
    """The one whose key is, or begins as, ``ref``.

    Raises:
        BangerError: ``not_found``, ``ambiguous``.
    """
    found = [view for view in views if ref and view.key.startswith(ref)]
    if len(found) == 1:
        return found[0]
    listed = "list them: banger template list"
    if not found:
        raise BangerError(Code.NOT_FOUND, f"there is no template {printable(ref)!r}", hint=listed)
    raise BangerError(
        Code.AMBIGUOUS, f"several templates begin with {printable(ref)!r}", hint=listed
    )


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
