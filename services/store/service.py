"""The store's I/O shell: one thread for the database, events after the commit.

The thread keeps an fsync or a locked database from holding up pings.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.store.database import lock_file, open_database
from services.store.queries import Store
from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.runner import own
from shared.config import Config
from shared.contract.messages.page import After
from shared.contract.messages.rows import (
    PoolClaim,
    Transition,
    VmChanged,
    VmClaim,
    VmDeleted,
    VmReserve,
    VmRows,
    VmTouch,
    VmTransition,
    VmUpdate,
    VmWorkspace,
)
from shared.contract.messages.vm import ResolvedList, Vm, VmId, VmRef, VmRefs
from shared.contract.verbs import store
from shared.logs import Log
from shared.paths import Paths, close_to_others

T = TypeVar("T")


class StoreService(Actor):
    """The only process that opens the database."""

    def __init__(self, paths: Paths, log: Log, config: Config) -> None:
        super().__init__("store", paths, log)
        self._url = config.database_url
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")

    async def on_start(self) -> None:
        close_to_others(self.paths.state)
        guard = lock_file(self._url, self.paths.database)
        self._lock = await own(guard) if guard else None
        self._engine = await self._in_thread(lambda: open_database(self._url, self.paths.database))
        self._store = Store(self._engine)

    async def on_registered(self) -> None:
        """Changes committed just before a crash may not have been published: say where we are."""
        self.publish("store.started", {"seq": await self._in_thread(self._store.sequence)})

    async def on_stop(self) -> None:
        await self._in_thread(self._engine.dispose)
        self._thread.shutdown()

    async def _in_thread(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, question)

    @handles(store.VM_LIST)
    async def list_vms(self, request: After, _call: Call) -> VmRows:
        return await self._in_thread(lambda: self._store.rows(request.after))

    @handles(store.VM_SNAPSHOT)
    async def snapshot(self, request: After, _call: Call) -> VmRows:
        return await self._in_thread(lambda: self._store.rows(request.after))

    @handles(store.VM_GET)
    async def get(self, request: VmRef, _call: Call) -> Vm:
        return await self._in_thread(lambda: self._store.get(request.ref))

    @handles(store.VM_RESOLVE)
    async def resolve(self, request: VmRefs, _call: Call) -> ResolvedList:
        return await self._in_thread(
            lambda: self._store.resolve(request.refs, whole_names=request.whole_names)
        )

    @handles(store.VM_CHECK)
    async def check(self, request: VmClaim, _call: Call) -> None:
        await self._in_thread(lambda: self._store.check(request))

    @handles(store.VM_RESERVE)
    async def reserve(self, request: VmReserve, _call: Call) -> Vm:
        return self._changed(*await self._in_thread(lambda: self._store.reserve(request)))

    @handles(store.VM_CLAIM)
    async def claim(self, request: PoolClaim, _call: Call) -> Vm:
        return self._changed(*await self._in_thread(lambda: self._store.claim(request)))

    @handles(store.VM_UPDATE)
    async def update(self, request: VmUpdate, _call: Call) -> Vm:
        return self._changed(*await self._in_thread(lambda: self._store.update(request)))

    @handles(store.VM_TRANSITION)
    async def transition(self, request: VmTransition, _call: Call) -> Transition:
        done, seq = await self._in_thread(lambda: self._store.transition(request))
        if seq is not None:
            self._changed(done.vm, seq)
        return done

    @handles(store.VM_WORKSPACE)
    async def place(self, request: VmWorkspace, _call: Call) -> Vm:
        return await self._in_thread(lambda: self._store.place(request))

    @handles(store.VM_TOUCH)
    async def touch(self, request: VmTouch, _call: Call) -> None:
        await self._in_thread(lambda: self._store.touch(request))

    @handles(store.VM_REMOVE)
    async def remove(self, request: VmId, _call: Call) -> None:
        seq = await self._in_thread(lambda: self._store.remove(request.id))
        if seq is not None:
            self.publish("vm.deleted", VmDeleted(seq=seq, id=request.id))

    def _changed(self, vm: Vm, seq: int) -> Vm:
        self.publish("vm.changed", VmChanged(seq=seq, vm=vm))
        return vm
