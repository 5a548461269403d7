"""The pool: VMs that wait, ready to be used. Which there are, and of which kind they are to be.

Only the kind that was asked for last is kept ready, and only while somebody makes VMs. What is here
is a hint: the store says who gets a VM (``vm.claim``).
"""

import asyncio
import time
from typing import NamedTuple

from services.api.templates.templates import TemplateKey, bare_spec
from shared.contract.messages.vm import VmSpec

AT_WORK_SECONDS = 900.0
"""How long after a VM was made somebody is believed to make another one."""


class PoolKind(NamedTuple):
    """What the VMs of the pool are: copies of a template. ``spec``: theirs."""

    key: TemplateKey
    spec: VmSpec


class WarmPool:
    """``size``: how many are to wait; 0: none."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.kind: PoolKind | None = None
        self.asked = asyncio.Event()
        """Set while there is something to look after."""
        self._asked_at = 0.0
        self._waiting: dict[str, str] = {}

    def ask(self, key: TemplateKey, spec: VmSpec) -> None:
        """A user makes a VM of this kind."""
        if self.size:
            self.kind, self._asked_at = PoolKind(key, bare_spec(key, spec)), time.monotonic()
            self.asked.set()

    def forget_if_unasked(self) -> None:
        """Want nothing any more when nobody has made a VM for long."""
        if time.monotonic() - self._asked_at > AT_WORK_SECONDS:
            self.kind = None

    # -- those that wait --------------------------------------------------------------------

    def add(self, vm_id: str, key: str) -> None:
        self._waiting[vm_id] = key
        self.asked.set()

    def discard(self, vm_id: str) -> None:
        self._waiting.pop(vm_id, None)

    def clear(self, key: str) -> None:
        """The store has none of this kind."""
        self._waiting = {vm_id: has for vm_id, has in self._waiting.items() if has != key}

    def has(self, key: str) -> bool:
        return key in self._waiting.values()

    @property
    def waiting(self) -> dict[str, str]:
        """Ids, the oldest first, and their keys."""
        return dict(self._waiting)

    @property
    def missing(self) -> bool:
        """Whether one more is to be made."""
        return self.kind is not None and len(self._waiting) < self.size
