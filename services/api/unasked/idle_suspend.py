"""``idle_suspend_after``: suspends VMs that nobody uses. They come back when somebody does."""

import asyncio
import time
from pathlib import Path

from services.api.context import ApiContext
from services.api.machines.idleness import Look, limit_of
from services.api.policy.idle import established, sessions
from shared.contract.durations import show_duration
from shared.contract.messages.vm import Vm
from shared.contract.verbs import supervisor
from shared.errors import BangerError, Code
from shared.host.socket_table import inet_sockets, read_table, unix_sockets

LOOKS = 4
"""How often per limit the VMs are looked at, at most every minute."""
LONGEST_PAUSE = 60.0
ANSWER_SECONDS = 10.0
"""What a supervisor gets to say whether its VM is used."""
SUSPEND_SECONDS = 900.0


class IdleSuspend:
    """Looks again and again at the VMs that have a limit. Without one, nobody is looked at."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._idleness = context.idleness

    async def run(self) -> None:
        while True:
            changed = self._context.limits_changed
            changed.clear()
            limits = self._limits(await self._context.corrections.rows())
            shortest = min(limits.values(), default=None)
            pause = None if shortest is None else min(LONGEST_PAUSE, shortest / LOOKS)
            try:
                await asyncio.wait_for(changed.wait(), pause)
            except TimeoutError:
                await self.look()

    def _limits(self, vms: list[Vm]) -> dict[str, float]:
        default = self._context.config.idle_suspend_after
        limits = {vm.id: limit_of(vm, default) for vm in vms if not vm.keeper}
        return {vm_id: limit for vm_id, limit in limits.items() if limit > 0}

    async def look(self) -> None:
        """Look once, and suspend who is due."""
        rows = await self._context.rows()
        limits = self._limits(rows)
        vms = [vm for vm in rows if vm.state == "running" and vm.id in limits]
        self._idleness.keep_only(vm.id for vm in vms)
        used = self._sessions(vms)
        await asyncio.gather(*(self._note(vm, used.get(vm.id, 0)) for vm in vms))
        for vm in vms:
            if self._idleness.is_due(vm.id, limits[vm.id], time.monotonic()):
                await self._suspend(vm)

    async def _note(self, vm: Vm, number_of_sessions: int) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            activity = await self._context.ask(supervisor.ACTIVITY().at(vm.id), deadline=deadline)
        except BangerError as error:
            # It boots, has ended this moment, or its supervisor is being started again.
            self._context.log.info("not known whether it is used", vm=vm.id, error=error.message)
            return
        look = Look(activity, number_of_sessions, self._work(vm))
        self._idleness.note(vm.id, look, time.monotonic())

    def _work(self, vm: Vm) -> str:
        """The verb that is at the VM now, "" for none."""
        context = self._context
        if verb := context.at_work.get(vm.id):
            return verb[-1]
        running = (each for each in context.operations.list() if each.state == "running")
        return next((each.verb for each in running if each.subject == vm.name), "")

    def _sessions(self, vms: list[Vm]) -> dict[str, int]:
        unix = unix_sockets()
        connections = established(inet_sockets(read_table(Path("/proc/net/tcp"))))
        paths = self._context.paths
        return {vm.id: sessions(paths.vm_run(vm.id), unix, connections) for vm in vms}

    async def _suspend(self, vm: Vm) -> None:
        """Whoever wants to reach the VM meanwhile waits (``ApiContext.reach``)."""
        context = self._context
        idle = show_duration(self._idleness.idle_for(vm.id, time.monotonic()))
        lock = context.machines.serialised(vm.id)
        if lock.locked():
            return  # a verb is at it
        async with lock:
            if self._sessions([vm])[vm.id] or self._work(vm):
                return  # somebody has come while others were suspended
            context.log.info("nobody uses it: suspending", vm=vm.id, name=vm.name, idle=idle)
            request = supervisor.SUSPEND(hold=True, reason=f"nobody used it for {idle}")
            deadline = time.monotonic() + SUSPEND_SECONDS
            context.falling_asleep.add(vm.id)
            try:
                await context.ask(request.at(vm.id), deadline=deadline)
            except BangerError as error:
                reason = f"it cannot be suspended: {error.message}"
                self._idleness.keep_on(vm.id, reason, time.monotonic())
                known = error.code in (Code.CONFLICT, Code.NOT_RUNNING)
                log = context.log.info if known else context.log.warning
                log("idle VM not suspended", vm=vm.id, error=error.message)
            finally:
                context.falling_asleep.discard(vm.id)
