"""Keeps a projection of the store's VMs true over the bus; nat and dns each hold one.

Asks for a snapshot at the start, after every (re)connection to the events, after a restart of
the store, on a gap, and every ``RESYNC_SECONDS`` in any case: the loss of the very last event
before a silence leaves no gap to see.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec

from shared.bus.actor import Actor
from shared.bus.replica.replica import Event, Projection, Verdict
from shared.bus.socket import Subscriber
from shared.contract.messages.vm import VmChanged, VmDeleted
from shared.contract.verbs import store
from shared.errors import BangerError

RESYNC_SECONDS = 30.0
SNAPSHOT_SECONDS = 20.0
"""How long one ``vm.snapshot`` may take."""

RETRY_SECONDS = 0.5
"""Pause after a snapshot that failed: the store or the broker is being restarted."""

_TOPICS: dict[str, type[Event]] = {"vm.changed": VmChanged, "vm.deleted": VmDeleted}
_STORE_STARTED = "store.started"


class Follower:
    """Create it in ``on_start``, ``close`` it in ``on_stop``. ``changed`` is called on the loop
    after every event or snapshot that was taken in; it must not raise."""

    def __init__(self, actor: Actor, changed: Callable[[], None]) -> None:
        self.projection = Projection()
        self._actor = actor
        self._changed = changed
        self._needed = asyncio.Event()
        self._needed.set()
        self._one_at_a_time = asyncio.Lock()
        topics = [*_TOPICS, _STORE_STARTED]
        self._subscriber = Subscriber(actor.paths.event_socket, topics)
        self._loop = asyncio.get_running_loop()
        self._fds = (self._subscriber.fd, self._subscriber.monitor_fd)
        for fd in self._fds:
            self._loop.add_reader(fd, self._drain)
        self._loop.call_soon(self._drain)  # both descriptors are edge-triggered
        self._keeper = actor.background.keep(self._keep())

    async def refresh(self) -> None:
        """Take a snapshot now.

        Raises:
            BangerError: ``unavailable`` or ``timeout``; the projection stays as it was, and the
                snapshot is asked for again in the background.
        """
        async with self._one_at_a_time:
            self.projection.distrust()
            self._needed.clear()  # whoever asks from now on wants another one than this
            deadline = time.monotonic() + SNAPSHOT_SECONDS
            try:
                rows = await self._actor.ask(store.VM_SNAPSHOT(), deadline=deadline)
                complete = self.projection.snapshot(rows) is not Verdict.GAP
            except BaseException:
                self._needed.set()
                raise
            if not complete:
                self._needed.set()
        self._changed()

    async def close(self) -> None:
        self._keeper.cancel()
        await asyncio.wait({self._keeper})
        for fd in self._fds:
            self._loop.remove_reader(fd)
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
        if self._subscriber.reconnected():
            self._needed.set()
        while (frames := self._subscriber.receive()) is not None:
            self._take_in(frames)

    def _take_in(self, frames: list[bytes]) -> None:
        topic = frames[0].decode(errors="replace")
        if topic == _STORE_STARTED:
            self._needed.set()
            return
        try:
            event = msgspec.msgpack.decode(frames[2], type=_TOPICS[topic])
        except (KeyError, IndexError, msgspec.MsgspecError) as error:
            self._actor.log.warning("event that cannot be read", topic=topic, error=str(error))
            self._needed.set()
            return
        match self.projection.event(event):
            case Verdict.APPLIED:
                self._changed()
            case Verdict.GAP:
                self._needed.set()
