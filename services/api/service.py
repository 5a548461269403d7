"""Service ``api``: user verbs turned into work for the other services.

The api keeps nothing that matters: rows are the store's, running machines their supervisors'. So
it may die at any time; its successor finds everything again (``_recover``).
"""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from services.api.policy.idle import established, sessions, stale
from services.api.verbs.images import ImageVerbs
from services.api.verbs.reports import Reports
from shared.bus.handlers import Call, handles
from shared.bus.runner import own
from shared.config import Config
from shared.contract.messages.machine import SupervisorReady
from shared.contract.messages.vm import Vm
from shared.contract.verbs import api, supervisor
from shared.errors import BangerError
from shared.host.socket_table import inet_sockets, read_table, unix_sockets
from shared.logs import Log
from shared.paths import Paths

STALE_LOOKS = 4
"""How often per ``auto_stop_stale_after`` the VMs are looked at, at most every minute."""
STOP_SECONDS = 60.0


class Api(Reports):
    """All verbs, and what happens without being asked."""

    def __init__(self, paths: Paths, log: Log, config: Config) -> None:
        super().__init__(paths, log, config)
        self.serve(ImageVerbs(self.ask, self._image_holds, self._kernel_holds))

    async def on_start(self) -> None:
        self._lock = await own(self.paths.run / "api.lock")
        self.background.keep(self._recover())
        if self._config.auto_stop_stale_after > 0:
            self.background.keep(self._stop_stale(self._config.auto_stop_stale_after))
        self._supervisors.prepare_spare()

    async def on_stop(self) -> None:
        self._supervisors.close()

    async def _recover(self) -> None:
        """After a start: believe what runs, and correct rows that say otherwise."""
        vms = await self._rows_when_there()
        for vm in await self._supervisors.recover(vms):
            await self._correct(vm, "its VMM was gone when the services started")

    @handles(api.SUPERVISOR_READY)
    async def supervisor_ready(self, request: SupervisorReady, _call: Call) -> None:
        self._supervisors.on_ready(request.id, request.pid)

    # -- stale VMs --------------------------------------------------------------------------

    async def _stop_stale(self, limit: float) -> None:
        while True:
            await asyncio.sleep(min(60.0, limit / STALE_LOOKS))
            try:
                await self._touch_used()
                await self._stop_all_stale(limit)
            except BangerError as error:
                self.log.warning("stale VMs not looked for", error=error.message)

    async def _touch_used(self) -> None:
        """The time without use begins when the last one leaves, not when he came."""
        vms = [vm for vm in await self._rows() if vm.state == "running"]
        for vm_id, number in self._sessions(vms).items():
            if number:
                await self._touch(vm_id)

    async def _stop_all_stale(self, limit: float) -> None:
        """Each is looked at again when its turn comes: the stop of the one before took a while, and
        somebody may have come meanwhile."""
        tried: set[str] = set()
        while left := [vm for vm in await self._stale(limit) if vm.id not in tried]:
            tried.add(left[0].id)
            await self._stop_one(left[0])

    async def _stale(self, limit: float) -> list[Vm]:
        vms = await self._rows()
        return stale(vms, datetime.now(UTC), limit, self._sessions(vms))

    def _sessions(self, vms: list[Vm]) -> dict[str, int]:
        unix = list(unix_sockets(read_table(Path("/proc/net/unix"))))
        connections = established(inet_sockets(read_table(Path("/proc/net/tcp"))))
        return {vm.id: sessions(self.paths.vm_run(vm.id), unix, connections) for vm in vms}

    async def _stop_one(self, vm: Vm) -> None:
        self.log.info("nobody uses it: stopping", vm=vm.id, touched_at=vm.touched_at)
        deadline = time.monotonic() + STOP_SECONDS
        try:
            await self.ask(supervisor.STOP().at(vm.id), deadline=deadline)
        except BangerError as error:
            self.log.warning("stale VM not stopped", vm=vm.id, error=error.message)
