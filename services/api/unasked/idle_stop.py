"""``auto_stop_stale_after``: stops VMs that nobody uses. The one verb that nobody asks for."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from services.api.context import ApiContext
from services.api.policy.idle import established, sessions, stale
from shared.contract.messages.vm import Vm
from shared.contract.verbs import supervisor
from shared.errors import BangerError
from shared.host.socket_table import inet_sockets, read_table, unix_sockets

LOOKS = 4
"""How often per ``auto_stop_stale_after`` the VMs are looked at, at most every minute."""
POWER_OFF_SECONDS = 60.0
"""What a guest gets to power off before its VMM is ended, and its supervisor to answer."""


class IdleStop:
    """Looks at all VMs again and again."""

    def __init__(self, context: ApiContext, limit: float) -> None:
        self._context = context
        self._limit = limit

    async def run(self) -> None:
        while True:
            await asyncio.sleep(min(60.0, self._limit / LOOKS))
            try:
                await self.touch_used()
                await self.stop_unused()
            except BangerError as error:
                self._context.log.warning("stale VMs not looked for", error=error.message)

    async def touch_used(self) -> None:
        """Idle time starts when the last session ends, so a VM with a session is touched."""
        vms = [vm for vm in await self._context.rows() if vm.state == "running"]
        for vm_id, number in self._sessions(vms).items():
            if number:
                await self._context.touch(vm_id)

    async def stop_unused(self) -> None:
        """Look again before each stop: the last one took a while, and a session may have begun."""
        tried: set[str] = set()
        while left := [vm for vm in await self._stale() if vm.id not in tried]:
            tried.add(left[0].id)
            await self._stop(left[0])

    async def _stale(self) -> list[Vm]:
        vms = await self._context.rows()
        return stale(vms, datetime.now(UTC), self._limit, self._sessions(vms))

    def _sessions(self, vms: list[Vm]) -> dict[str, int]:
        unix = unix_sockets()
        connections = established(inet_sockets(read_table(Path("/proc/net/tcp"))))
        paths = self._context.paths
        return {vm.id: sessions(paths.vm_run(vm.id), unix, connections) for vm in vms}

    async def _stop(self, vm: Vm) -> None:
        self._context.log.info("nobody uses it: stopping", vm=vm.id, touched_at=vm.touched_at)
        deadline = time.monotonic() + POWER_OFF_SECONDS
        try:
            await self._context.ask(supervisor.STOP().at(vm.id), deadline=deadline)
        except BangerError as error:
            self._context.log.warning("stale VM not stopped", vm=vm.id, error=error.message)
