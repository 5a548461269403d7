"""Keeps a replica of the store's VMs current over the bus; nat and dns each have one.

It takes a snapshot at the start, whenever its subscriptions have come into force, after a restart
of the store, on a gap, and every ``RESYNC_SECONDS`` in any case: when the last event before a
silence is lost, there is no gap to notice.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Generic

import msgspec

from shared.bus.actor import Actor
from shared.bus.paging import pages
from shared.bus.replica.replica import Event, Replica, Verdict, View, Views
from shared.bus.socket import Subscriber
from shared.contract.messages.rows import VmChanged, VmDeleted, VmRows
from shared.contract.messages.vm import Vm
from shared.contract.verbs import store
from shared.errors import BangerError

RESYNC_SECONDS = 30.0
SNAPSHOT_SECONDS = 20.0
"""How long one ``vm.snapshot`` may take."""

RETRY_SECONDS = 0.5
"""Pause after a failed snapshot: the store or the broker is being restarted."""

_TOPICS: dict[str, type[Event]] = {"vm.changed": VmChanged, "vm.deleted": VmDeleted}
_STORE_STARTED = "store.started"


class Follower(Generic[View]):
    """Create it in ``on_start``, ``close`` it in ``on_stop``.

    ``changed`` is called on the loop after the first snapshot, and after every event or snapshot
    that changed what ``view`` takes from the rows (see ``Views``). It must not raise.
    """

    def __init__(
        self, actor: Actor, view: Callable[[Vm], View | None], changed: Callable[[], None]
    ) -> None:
        self.replica = Replica()
        self._views = Views(view)
        self._actor = actor
        self._changed = changed
        self._needed = asyncio.Event()
        self._needed.set()
        self._refreshing = asyncio.Lock()
        topics = [*_TOPICS, _STORE_STARTED]
        self._subscriber = Subscriber(actor.paths.event_socket, topics)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._subscriber.fd, self._drain)
        self._loop.call_soon(self._drain)  # the descriptor is edge-triggered
        self._keeper = actor.background.spawn(self._keep())

    async def refresh(self) -> None:
        """Take a snapshot now.

        Raises:
            BangerError: ``unavailable`` or ``timeout``; the replica stays as it was, and
                another snapshot is taken in the background.
        """
        async with self._refreshing:
            self.replica.distrust()
            self._needed.clear()  # a request from now on needs another snapshot than this one
            deadline = time.monotonic() + SNAPSHOT_SECONDS
            try:
                complete = self.replica.snapshot(await self._rows(deadline)) is not Verdict.GAP
            except BaseException:
                self._needed.set()
                raise
            if not complete:
                self._needed.set()
        self._report()

    async def _rows(self, deadline: float) -> VmRows:
        """A snapshot from all pages, with the number of the first: what changed while they were
        read is in the events that are held."""
        whole: VmRows | None = None
        async for page in pages(
            lambda after: self._actor.ask(store.VM_SNAPSHOT(after=after), deadline=deadline)
        ):
            if whole is None:
                whole = page
            else:
                whole.vms += page.vms
        assert whole, "there is a first page"
        return whole

    async def close(self) -> None:
        self._keeper.cancel()
        await asyncio.wait({self._keeper})
        self._loop.remove_reader(self._subscriber.fd)
        self._subscriber.close()

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESYNC_SECONDS):
                    await self._needed.wait()
            try:
                await self.refresh()
            except (BangerError, msgspec.ValidationError) as error:
                self._actor.log.debug("no snapshot yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    def _drain(self) -> None:
        while (frames := self._subscriber.receive()) is not None:
            self._on_event(frames)
        if self._subscriber.subscribed():
            self._needed.set()

    def _on_event(self, frames: list[bytes]) -> None:
        topic = frames[0].decode(errors="replace")
        if topic == _STORE_STARTED:
            self._needed.set()
            return
        try:
            event = msgspec.msgpack.decode(frames[2], type=_TOPICS[topic])
        except (KeyError, IndexError, msgspec.MsgspecError) as error:
            self._actor.log.warning("unreadable event", topic=topic, error=str(error))
            self._needed.set()
            return
        match self.replica.event(event):
            case Verdict.APPLIED:
                self._report()
            case Verdict.GAP:
                self._needed.set()

    def _report(self) -> None:
        if self._views.differ(self.replica.vms.values()):
            self._changed()
