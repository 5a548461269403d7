"""Keeps images and kernels that creations need from being deleted before there is a row."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol, TypeVar

from shared.contract.names import NAMES_CARRIED, few
from shared.errors import BangerError, Code


class Published(Protocol):
    """An image or a kernel."""

    id: str
    name: str


E = TypeVar("E", bound=Published)


class BootHolds:
    """Keeps creations and deletions of one kind ("image", "kernel") apart.

    A creation resolves an entry and holds it until its row is stored. A deletion of a held entry is
    refused. A creation that resolved an entry which was deleted at that moment resolves again.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._holders: dict[str, list[str]] = {}
        self._removals: dict[str, asyncio.Event] = {}
        self._removed: dict[str, int] = {}
        """When each entry was last removed, as a count of removals."""
        self._count = 0

    @property
    def ids(self) -> list[str]:
        """What creations hold now."""
        return list(self._holders)

    @asynccontextmanager
    async def held(self, holder: str, resolve: Callable[[], Awaitable[E]]) -> AsyncIterator[E]:
        """Hold what ``resolve`` answers. ``holder`` is the name of the VM, empty when it has none
        yet; a refused deletion says it."""
        entry = await self._resolved(resolve)
        holders = self._holders.setdefault(entry.id, [])
        holders.append(holder)
        try:
            yield entry
        finally:
            holders.remove(holder)
            if not holders:
                del self._holders[entry.id]

    async def _resolved(self, resolve: Callable[[], Awaitable[E]]) -> E:
        while True:
            asked = self._count
            entry = await resolve()
            if removal := self._removals.get(entry.id):
                await removal.wait()
            elif self._removed.get(entry.id, 0) <= asked:
                return entry

    @contextmanager
    def removing(self, entry: Published) -> Iterator[None]:
        """Inside, no creation takes hold of the entry.

        Raises:
            BangerError: ``conflict`` when a creation holds it, or another deletion is under way.
        """
        if holders := self._holders.get(entry.id):
            names = [name for name in holders if name]
            raise BangerError(
                Code.CONFLICT,
                f"{self._kind} {entry.name} is in use, to create {few(names) or 'a VM'}",
                hint="see what is running: banger ops list",
                details={"vms": names[:NAMES_CARRIED]},
            )
        if entry.id in self._removals:
            raise BangerError(Code.CONFLICT, f"{self._kind} {entry.name} is already being deleted")
        over = self._removals[entry.id] = asyncio.Event()
        try:
            yield
        finally:
            self._count += 1
            self._removed[entry.id] = self._count
            del self._removals[entry.id]
            over.set()
