"""Which templates have been asked for: what VMs were booted that one would have spared."""

import time
from pathlib import Path

import msgspec

from services.api.templates.key import TemplateFacts
from shared.contract.messages.vm import VmSpec
from shared.errors import BangerError
from shared.host.files import write_atomically

MOST_WANTED = 64
"""The latest are kept."""
WANTED_SECONDS = 7 * 86400.0
"""How long somebody is believed to want another one."""


class WantedTemplate(msgspec.Struct, kw_only=True):
    """``spec``: of the VM that a template is made of. ``asked_at``: seconds since the epoch."""

    key: str
    facts: TemplateFacts
    spec: VmSpec
    asked_at: float


class WantedTemplates:
    """Kept in a file, so that the next api knows them too. The file may be lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, WantedTemplate] = {}
        try:
            for each in msgspec.json.decode(path.read_bytes(), type=list[WantedTemplate]):
                self._known[each.key] = each
        except (OSError, msgspec.DecodeError):
            self._known.clear()

    def note(self, key: str, facts: TemplateFacts, spec: VmSpec) -> None:
        """Somebody has just booted a VM of this key."""
        wanted = WantedTemplate(key=key, facts=facts, spec=spec, asked_at=time.time())
        latest = sorted(
            [wanted, *(each for each in self._known.values() if each.key != key)],
            key=lambda each: -each.asked_at,
        )
        self._known = {each.key: each for each in latest[:MOST_WANTED]}

    def still(self) -> list[WantedTemplate]:
        """The latest first."""
        since = time.time() - WANTED_SECONDS
        return [each for each in self._known.values() if each.asked_at >= since]

    def drop(self, key: str) -> None:
        self._known.pop(key, None)

    def save(self) -> None:
        """Write the file; what is wrong with its disk shows elsewhere."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path, msgspec.json.encode(list(self._known.values())))
        except (OSError, BangerError):
            return
