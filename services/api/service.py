"""Service ``api``: user verbs turned into work for the other services.

The api keeps nothing that matters: rows are the store's, running machines their supervisors'. So
it may die at any time; its successor finds everything again (``_recover``).
"""

import asyncio
from pathlib import Path

from services.api.context import ApiContext
from services.api.machines.removal import empty_trash
from services.api.machines.snapshots import origins
from services.api.machines.spare_supervisor import Spare
from services.api.unasked.fill_pool import FillPool
from services.api.unasked.idle_stop import IdleStop
from services.api.unasked.idle_suspend import IdleSuspend
from services.api.unasked.lease_end import LeaseEnd
from services.api.unasked.templates import MakeTemplates
from services.api.verbs.configure import ConfigureVerbs
from services.api.verbs.create import CreateVerbs
from services.api.verbs.forks import ForkVerbs
from services.api.verbs.guest_exec import GuestExecVerbs
from services.api.verbs.image_build import ImageBuildVerbs
from services.api.verbs.images import ImageVerbs
from services.api.verbs.lifecycle import LifecycleVerbs
from services.api.verbs.operations import OperationVerbs
from services.api.verbs.publish import PublishVerbs
from services.api.verbs.reports import ReportVerbs
from services.api.verbs.snapshots import SnapshotVerbs
from services.api.verbs.templates import TemplateVerbs
from services.api.verbs.workspaces import WorkspaceVerbs
from shared.bus.actor import Actor
from shared.bus.background import keep_running
from shared.bus.handlers import Call, handles
from shared.bus.runner import own
from shared.config import Config
from shared.contract.lifecycle import LIVE
from shared.contract.messages.machine import SupervisorReady
from shared.contract.messages.vm import Empty, Vm
from shared.contract.reference import by_id
from shared.contract.verbs import api
from shared.logs import Log
from shared.paths import Paths
from shared.vm.publish_saved import discard

GROUPS = (
    CreateVerbs,
    LifecycleVerbs,
    ConfigureVerbs,
    PublishVerbs,
    ReportVerbs,
    ImageVerbs,
    ImageBuildVerbs,
    GuestExecVerbs,
    SnapshotVerbs,
    ForkVerbs,
    TemplateVerbs,
    WorkspaceVerbs,
)
"""What answers the verbs, each made of the context. ``OperationVerbs`` needs less."""


class Api(Actor):
    """Serves the groups of verbs, and does what happens without being asked."""

    def __init__(self, paths: Paths, log: Log, config: Config) -> None:
        super().__init__("api", paths, log)
        spawn = self.background.spawn
        spare = Spare(paths.logs / "vm_supervisor.err", spawn)
        self._context = ApiContext(paths, log, config, self.ask, spawn, self.stopping, spare)
        self._fill_pool = FillPool(self._context)
        self.serve(*(group(self._context) for group in GROUPS))
        self.serve(OperationVerbs(self._context.operations))

    async def on_start(self) -> None:
        self._lock = await own(self.paths.lock("api"))
        self.background.spawn(self._recover(origins(self.paths)))
        self.background.spawn(keep_running("leases", LeaseEnd(self._context).run, self.log))
        idle_suspend = IdleSuspend(self._context)
        self.background.spawn(keep_running("idle suspend", idle_suspend.run, self.log))
        if self._context.templates.library.limit:
            making = MakeTemplates(self._context)
            self.background.spawn(keep_running("templates", making.run, self.log))
            self.background.spawn(keep_running("pool", self._fill_pool.run, self.log))
        limit = self._context.config.auto_stop_stale_after
        if limit > 0:
            # It reads the names of others' sockets and what guests have caused.
            idle_stop = IdleStop(self._context, limit)
            self.background.spawn(keep_running("idle stop", idle_stop.run, self.log))
        self._context.supervisors.prepare_spare()

    async def on_stop(self) -> None:
        self._context.supervisors.close()

    async def _recover(self, left: list[Path]) -> None:
        """After a start: believe what runs, and correct rows that say otherwise. ``left``: what
        copies were being made of. A copy that has not got its disks by now will not be a VM."""
        context = self._context
        for directory in left:
            await asyncio.to_thread(discard, directory)
        await asyncio.to_thread(empty_trash, context.paths)
        vms = await context.corrections.rows()
        for vm in await context.supervisors.recover(vms):
            if vm.state in LIVE or vm.origin or vm.keeper:
                await self._correct(vm.id, "its VMM was gone when the services started")
        for vm in vms:
            if vm.keeper == "template" and not self._is_made_here(vm):
                await context.kept.delete(vm)  # whoever made it has died with the last api
            if vm.state == "stopping":
                await context.corrections.stop_not_heard(by_id(vm.id))
        await self._fill_pool.recover(vms)

    def _is_made_here(self, vm: Vm) -> bool:
        return vm.id in self._context.corrections.being_made

    async def _correct(self, vm_id: str, reason: str) -> None:
        knows = self._context.supervisors.knows
        await self._context.corrections.vm_ended(vm_id, reason, lambda: not knows(vm_id))

    @handles(api.KEPT_CLOSE)
    async def close_kept(self, _request: Empty, _call: Call) -> None:
        await self._context.kept.close()

    @handles(api.SUPERVISOR_READY)
    async def supervisor_ready(self, request: SupervisorReady, _call: Call) -> None:
        self._context.supervisors.on_ready(request.id, request.pid)
