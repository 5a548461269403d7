"""An api in one process: its context and its verbs over fakes of all other services."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.service import GROUPS
from services.api.verbs.operations import OperationVerbs
from shared.bus.handlers import Call, handles
from shared.config import Config, TemplatesConfig
from shared.contract.messages.machine import SupervisorReady
from shared.contract.messages.vm import Vm
from shared.contract.verbs import api
from shared.host.retry import poll_async
from shared.logs import Log
from shared.paths import Paths, make_private
from tests.fakes.bus import FakeBus
from tests.fakes.images import FakeBuilds, FakeImages
from tests.fakes.nat import FakeNat
from tests.fakes.store import FakeStore
from tests.fakes.supervisor import FakeSpare, FakeSupervisor
from tests.fakes.workspaces import FakeWorkspaces


class Scene:
    """An async context manager. ``context`` is what groups of verbs are made of; all of them are
    served, so that verbs may be asked over the bus too. ``templates``: the limit."""

    def __init__(
        self, paths: Paths, *vms: Vm, config: Config | None = None, templates: str = "0"
    ) -> None:
        make_private(paths.run)
        self.paths = paths
        self.bus = FakeBus()
        self.store = FakeStore(*vms)
        self.images = FakeImages()
        self.builds = FakeBuilds()
        self.nat = FakeNat()
        self.workspaces = FakeWorkspaces()
        self.spare = FakeSpare(self.bus, paths, paths.run / "supervisors.err")
        self._tasks: set[asyncio.Task[None]] = set()
        self.context = ApiContext(
            paths,
            Log(paths.log_file("api"), "api"),
            replace(config or Config(), templates=_templates(templates)),
            self.bus.ask,
            self.spawn,
            asyncio.Event(),
            self.spare,
        )
        self.bus.serve("store", self.store)
        self.bus.serve("images", self.images, self.builds)
        self.bus.serve("nat", self.nat)
        self.bus.serve("workspaces", self.workspaces)
        self.bus.serve("api", self, *(group(self.context) for group in GROUPS))
        self.bus.serve("api", OperationVerbs(self.context.operations))

    @handles(api.SUPERVISOR_READY)
    async def supervisor_ready(self, request: SupervisorReady, _call: Call) -> None:
        self.context.supervisors.on_ready(request.id, request.pid)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def running(self, name: str = "beta", **more: Any) -> Vm:
        """Create and boot a VM; forget what was asked for that."""
        shown = await self.bus.ask(api.VM_CREATE(name=name, **SMALL, **more))
        self.bus.asked.clear()
        return shown.vm

    def row(self, name: str = "beta") -> Vm:
        """What the store has of a VM."""
        return next(vm for vm in self.store.vms.values() if vm.name == name)

    def supervisor(self) -> FakeSupervisor:
        """The one that was given a VM last."""
        return self.spare.given[-1]

    async def __aenter__(self) -> "Scene":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.context.stopping.set()
        for task in self._tasks:
            task.cancel()
        self.context.supervisors.close()


def _templates(limit: str) -> TemplatesConfig:
    """They are made at once, however busy this machine is."""
    return TemplatesConfig(limit=limit, quiet_seconds=0, most_pressure=100)


SMALL: dict[str, Any] = {
    "vcpu": 1,
    "memory_mib": 128,
    "disk_bytes": 64 << 20,
    "overlay_bytes": 64 << 20,
    "vmm": "qemu",
}


def play(act: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine; it fails when it has not ended in time."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await act

    asyncio.run(bounded())


async def settled(question: Callable[[], object]) -> None:
    """Return when ``question`` answers true; tasks run meanwhile."""
    assert await poll_async(question, time.monotonic() + 10, pause=0.005)
