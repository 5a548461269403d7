"""Images that are made in a VM: ``image.build`` of a file, and ``vm.commit``."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

from services.api.context import ApiContext
from services.api.policy.taken_names import refuse_taken
from services.api.verbs.operations import under_way
from shared.bus.handlers import Call, handles
from shared.contract.lifecycle import LIVE
from shared.contract.messages.build import BuildPlan, BuildQuestion, BuildStep
from shared.contract.messages.image import Image, ImageOrigin, OriginKind
from shared.contract.messages.image_work import ImageFileBuild, VmCommit
from shared.contract.messages.vm import Vm, VmView
from shared.contract.messages.workspace import Target
from shared.contract.reference import by_id
from shared.contract.verb import Request
from shared.contract.verbs import api, images, supervisor
from shared.errors import BangerError, Code
from shared.host.locks import Lock
from shared.logs import log_context

T = TypeVar("T")

KEPT_KINDS = ("run", "packages")
"""Steps after which the disks are kept: the others take no longer than copying disks does."""
STOP_SECONDS = 60.0


class ImageBuildVerbs:
    """Both need a VM, and the images service, which runs the steps and reads the disks."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    # -- build ------------------------------------------------------------------------------

    @handles(api.IMAGE_BUILD)
    async def build(self, request: ImageFileBuild, call: Call) -> Image:
        context = self._context
        async with under_way(context.operations, call, "image.build", request.as_name) as operation:
            base = await self._ask(images.BUILD_BASE.of(request), call)
            name = request.as_name or base.name
            if not name:
                raise BangerError(
                    Code.INVALID, f"{Path(request.file).name} gives the image no name",
                    hint="name it: --name NAME",
                )  # fmt: skip
            operation.subject = name
            await self._check_name(name, "built", force=request.force)

            def resolve() -> "asyncio.Future[Image]":
                wanted = images.IMAGE_RESOLVE(ref=base.reference)
                return asyncio.ensure_future(self._ask(wanted, call))

            async with context.image_holds.held("", resolve) as image:
                return await self._build_on(image, name, request, call)

    async def _build_on(self, base: Image, name: str, request: ImageFileBuild, call: Call) -> Image:
        question = BuildQuestion(
            **{field: getattr(request, field) for field in ImageFileBuild.__struct_fields__},
            base=base,
        )
        plan = await self._ask(images.BUILD_PLAN.of(question), call)
        if plan.made is not None:
            call.progress("cached", f"nothing has changed since {plan.made.id} was built")
            return await self._ask(
                images.IMAGE_TAG(ref=by_id(plan.made.id), name=name, force=True), call
            )
        async with self._build_vm(base, plan, request, call) as view:
            await self._run_steps(view, plan, request.context, call)
            call.progress("stop", "shutting the VM down")
            await self._ask(api.VM_STOP(ref=by_id(view.vm.id), timeout=STOP_SECONDS), call)
            capture = images.IMAGE_CAPTURE(
                vm_id=view.vm.id,
                base=base.id,
                name=name,
                origin=ImageOrigin(kind="built", reference=Path(request.file).name),
                config=plan.config,
                work_seed=request.work_seed,
                key=plan.key,
            )
            return await self._ask(capture, call)

    @contextlib.asynccontextmanager
    async def _build_vm(
        self, base: Image, plan: BuildPlan, request: ImageFileBuild, call: Call
    ) -> AsyncIterator[VmView]:
        """A VM of this build, running. It is deleted at the end however that comes: when this api
        is killed, its successor finds the lease free."""
        lease = secrets.token_hex(8)
        self._context.paths.leases.mkdir(mode=0o700, exist_ok=True)
        lock = Lock.try_acquire(self._context.paths.leases / lease)
        assert lock, "nobody else has made this name up"
        vm: Vm | None = None
        try:
            create = api.VM_CREATE(
                name=f"build-{secrets.token_hex(3)}",
                image=by_id(base.id),
                start=False,
                nat=request.nat,
                allow=request.allow,
                lease=lease,
            )
            vm = (await self._ask(create, call)).vm
            with log_context(vm=vm.id):
                plan.cached = await self._place_disks(vm, plan)
                start = api.VM_START(ref=by_id(vm.id), wait="system")
                yield await self._ask(start, call)
        finally:
            if vm is not None and not self._context.stopping.is_set():
                await self._context.completed(self._delete(vm))
            lock.release()

    async def _place_disks(self, vm: Vm, plan: BuildPlan) -> int:
        """How many steps need not be run."""
        if not plan.cached:
            return 0
        request = images.BUILD_DISKS(vm_id=vm.id, key=plan.keys[plan.cached - 1])
        return plan.cached if (await self._context.ask(request)).found else 0

    async def _delete(self, vm: Vm) -> None:
        try:
            await self._context.ask(api.VM_DELETE(ref=by_id(vm.id)))
        except BangerError as error:
            if error.code is not Code.NOT_FOUND:
                self._context.log.error("build VM not deleted", vm=vm.id, error=str(error))

    async def _run_steps(self, view: VmView, plan: BuildPlan, files: str, call: Call) -> None:
        assert view.access, "it has just answered"
        target = Target(vm_id=view.vm.id, vm_name=view.vm.name, access=view.access)
        for number, (step, key) in enumerate(zip(plan.steps, plan.keys, strict=True), 1):
            stage = f"step {number}/{len(plan.steps)}"
            if number <= plan.cached:
                call.progress(stage, f"{step.text} (cached)")
                continue
            call.progress(stage, step.text)
            await self._ask(images.BUILD_RUN(target=target, step=step, context=files), call)
            await self._keep(view.vm, step, key, call)

    async def _keep(self, vm: Vm, step: BuildStep, key: str, call: Call) -> None:
        """Keep the disks as they are now. A cache that cannot be written is no reason to fail."""
        if step.kind not in KEPT_KINDS:
            return
        machines = self._context.machines
        await machines.ask(vm, supervisor.PAUSE(), call)
        try:
            await self._ask(images.BUILD_KEEP(vm_id=vm.id, key=key), call)
        except BangerError as error:
            self._context.log.warning("step not kept", vm=vm.id, error=error.message)
        finally:
            await self._context.completed(machines.ask(vm, supervisor.RESUME(), call))

    # -- commit -----------------------------------------------------------------------------

    @handles(api.VM_COMMIT)
    async def commit(self, request: VmCommit, call: Call) -> Image:
        context = self._context
        vm = await context.find(request.ref)
        async with under_way(context.operations, call, "vm.commit", vm.name):
            await self._check_name(request.name, "commit")
            async with context.exclusively(vm) as vm:
                _refuse_live(vm)
                capture = images.IMAGE_CAPTURE(
                    vm_id=vm.id,
                    base=vm.image_id,
                    name=request.name,
                    origin=ImageOrigin(kind="commit", reference=vm.name),
                    work_seed=request.work_seed,
                )
                return await self._ask(capture, call)

    # -- both -------------------------------------------------------------------------------

    async def _check_name(self, name: str, kind: OriginKind, *, force: bool = False) -> None:
        try:
            found = await self._context.ask(images.IMAGE_SHOW(ref=name))
        except BangerError:
            return  # there is none; a name that cannot be one is refused by the images service
        refuse_taken(name, found, kind, force=force)

    async def _ask(self, request: Request[T], call: Call) -> T:
        return await self._context.ask(request, deadline=call.deadline, on_partial=call.progress)


def _refuse_live(vm: Vm) -> None:
    if vm.state in LIVE:
        raise BangerError(
            Code.CONFLICT,
            f"{vm.name} is {vm.state}: its disks change",
            hint=f"stop it first: banger vm stop {vm.name}",
        )
    if vm.state == "suspended":
        raise BangerError(
            Code.CONFLICT,
            f"{vm.name} is suspended: its disks go with its memory",
            hint=f"resume and stop it first: banger vm resume {vm.name}",
        )
