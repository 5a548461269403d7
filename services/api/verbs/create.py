"""``vm.create``: decide, reserve, boot; and undo it when that fails."""

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.creation.from_pool import take
from services.api.creation.reservation import reservation, reserve, undo_creation
from services.api.creation.start import start_new
from services.api.policy import names
from services.api.policy.choice import chosen
from services.api.policy.image_session import odd_variables, run_of
from services.api.policy.network_policy import first_free_port, publications_in
from services.api.policy.sizing import choose_sizes
from services.api.templates.templates import TemplateKey
from services.api.verbs.file_sync import send_files
from services.api.verbs.forks import (
    Origin,
    bring_up,
    chosen_of_copy,
    origin_of,
    refuse_fixed,
    refuse_snapshot_alone,
)
from services.api.verbs.operations import under_way
from shared.bus.handlers import Call, handles
from shared.contract.lifecycle import LIVE
from shared.contract.messages.image import Image, Kernel
from shared.contract.messages.machine import MachineState
from shared.contract.messages.vm import Publication, Vm, VmmName, VmmWanted, VmView
from shared.contract.messages.vm_request import VmCreate
from shared.contract.names import ID_LENGTHS, check_name
from shared.contract.sizes import host
from shared.contract.verb import Request
from shared.contract.verbs import api, images, store
from shared.errors import BangerError
from shared.host.files import require_space
from shared.logs import log_context
from shared.vmm.choice import Choice, choose
from shared.vmm.info import LaunchContext

FIRST_BOOT_BYTES = 128 << 20
"""What the disks, the initrd and the logs of a VM take by the end of its first boot. The disks grow
as the guest writes."""

S = TypeVar("S")
T = TypeVar("T")


class CreateVerbs:
    """Verbs that make VMs."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @handles(api.VM_CREATE)
    async def create(self, request: VmCreate, call: Call) -> VmView:
        context, new_id = self._context, secrets.token_hex(ID_LENGTHS["a VM"] // 2)
        notices: list[str] = []
        async with (
            under_way(context.operations, call, "vm.create", request.name or "") as operation,
            contextlib.AsyncExitStack() as holds,
        ):
            with context.templates.creation(), context.machines.expected(new_id):
                origin = await self._origin(request, call, holds)
                vm, wanted = await self._reserve_by_plan(new_id, request, call, origin)
                context.leased.add(vm)
                is_new = vm.id == new_id
                if not is_new:  # made by the same request before a crash; it may run by now
                    vm = context.live(vm)
                operation.subject = vm.name
                with log_context(vm=vm.id):
                    if request.start or origin:
                        bring_up = self._bring_up(vm, origin, wanted, request, call, is_new=is_new)
                        vm = await self._or_undo(vm, bring_up)
                        notices = await send_files(context, vm, call)
        shown = context.view(vm)
        shown.notices = notices
        config = await context.image_configs.if_known(vm.image_id)
        if config:
            shown.exposed = list(config.exposed)
            shown.notices += odd_variables(config, vm.image_name)
        if request.command:
            shown.command = run_of(config, request.command)
        return shown

    # -- the plan ---------------------------------------------------------------------------

    async def _origin(
        self, request: VmCreate, call: Call, holds: contextlib.AsyncExitStack
    ) -> Origin | None:
        """What the VM is to be a copy of, if it is to be one. What is taken is refused before."""
        if not request.from_vm:
            refuse_snapshot_alone(request)
            return None
        await self._refuse_taken(request, call)
        if not request.from_snapshot:
            source = await self._context.find(request.from_vm)
            if source.state in LIVE or source.state == "suspended":
                refuse_fixed(request)  # before its guest is paused and saved
        origin = origin_of(self._context, request.from_vm, request.from_snapshot, 1, call)
        return await holds.enter_async_context(origin)

    async def _refuse_taken(self, request: VmCreate, call: Call) -> list[Publication]:
        """The ports that the VM will publish."""
        if request.name is not None:
            check_name(request.name, "a VM")
        mode = self._context.config.network_mode
        publish = publications_in(mode, request.publish, first_free_port())
        if request.name is not None or publish:
            claim = store.VM_CHECK(
                name=request.name or "", publish=publish, request_id=call.request_id
            )
            await self._context.ask(claim)
        return publish

    async def _reserve_by_plan(
        self, new_id: str, request: VmCreate, call: Call, origin: Origin | None
    ) -> tuple[Vm, TemplateKey | None]:
        """The new row, and which template it is or could have been made of. What can be refused is
        refused before there is one. Image and kernel are held until the row names them."""
        context = self._context
        candidates = [request.name] if request.name else names.candidates(secrets.randbits(32))
        reserving = partial(reservation, context, new_id, candidates, call.request_id)
        if origin:
            spec = origin.spec(**chosen_of_copy(request, origin, context.config.network_mode))
            call.progress("spec", f"a {origin.words}")
            starts = request.start
            return await reserve(context, reserving(spec, starts=starts)), None
        require_space(context.paths.state, FIRST_BOOT_BYTES, "a VM")
        sizes = choose_sizes(request, context.config.defaults, host())
        given = chosen(request, context.config.network_mode)
        publish = await self._refuse_taken(request, call)  # before images are built
        async with contextlib.AsyncExitStack() as holds:
            image, kernel = await self._resolve(request, call, holds)
            context.image_configs.learn(image)
            given["vmm"] = request.vmm or context.config.vmm
            choice = await self._choose(given["vmm"], Path(kernel.path), call)
            call.progress("spec", f"{sizes} | {choice.vmm} ({choice.reason})")
            own = {"publish": publish, "lease": request.lease}
            spec = given | sizes.fields() | own | _boot_files(image, kernel)
            wanted = await self._template(request, spec, choice.vmm)
            if wanted:
                spec["template"] = wanted.key
            row = reserving(spec, starts=request.start)
            return await take(context, row, call), wanted

    async def _template(
        self, request: VmCreate, spec: dict[str, Any], vmm: VmmName
    ) -> TemplateKey | None:
        if request.cold or not request.start:
            return None
        return await self._context.templates.key_for(spec, vmm)

    async def _choose(self, wanted: VmmWanted, kernel: Path, call: Call) -> Choice:
        """Which VMM would run the VM now. Raises what speaks against it, while there is nothing to
        undo."""
        loop = asyncio.get_running_loop()
        context = LaunchContext(
            self._context.config,
            kernel,
            self._context.paths.run,
            lambda words: loop.call_soon_threadsafe(call.progress, "vmm", words),
        )
        mode = self._context.config.network_mode
        return await asyncio.to_thread(choose, wanted, mode, context)

    async def _resolve(
        self, request: VmCreate, call: Call, holds: contextlib.AsyncExitStack
    ) -> tuple[Image, Kernel]:
        """Image and kernel, built or pulled when they are not on this host yet."""
        context, holder = self._context, request.name or ""
        defaults = context.config.defaults

        async def ask(request: Request[T]) -> T:
            return await context.ask(request, deadline=call.deadline, on_partial=call.progress)

        image = images.IMAGE_RESOLVE(
            ref=request.image or defaults.image, auth_file=request.auth_file
        )
        kernel = images.KERNEL_RESOLVE(ref=defaults.kernel)
        found, default = await _both(
            holds.enter_async_context(context.image_holds.held(holder, lambda: ask(image))),
            holds.enter_async_context(context.kernel_holds.held(holder, lambda: ask(kernel))),
        )
        if not found.kernel:
            return found, default
        own = images.KERNEL_RESOLVE(ref=found.kernel)
        held = context.kernel_holds.held(holder, lambda: ask(own))
        return found, await holds.enter_async_context(held)

    # -- the boot ---------------------------------------------------------------------------

    async def _or_undo(self, vm: Vm, bring_up: Coroutine[Any, Any, Vm]) -> Vm:
        context = self._context
        try:
            return await bring_up
        except (BangerError, asyncio.CancelledError) as error:
            if not context.stopping.is_set():
                await undo_creation(context, vm, error)
            raise

    async def _bring_up(
        self,
        vm: Vm,
        origin: Origin | None,
        wanted: TemplateKey | None,
        request: VmCreate,
        call: Call,
        *,
        is_new: bool,
    ) -> Vm:
        context = self._context
        async with context.machines.serialised(vm.id):
            if origin:
                starts = request.start
                told = await bring_up(context, vm, origin, call, starts=starts, is_new=is_new)
            elif vm.from_pool and vm.state == "running":
                told = MachineState(state="running")
            else:
                vm, told = await start_new(context, vm, wanted, call, is_new=is_new)
            if wanted:
                context.pool.ask(wanted, vm)
        if request.start:
            await context.machines.await_stage(vm, request.wait, call)
        return replace(vm, state=told.state, reason=told.reason)


def _boot_files(image: Image, kernel: Kernel) -> dict[str, Any]:
    return {"image_id": image.id, "image_name": image.name, "kernel_id": kernel.id}


async def _both(one: Coroutine[Any, Any, S], other: Coroutine[Any, Any, T]) -> tuple[S, T]:
    """Await both side by side; when one fails, the other is cancelled."""
    tasks = asyncio.create_task(one), asyncio.create_task(other)
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
