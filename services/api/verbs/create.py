"""``vm.create``: decide, reserve, boot; and undo it when that fails."""

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.machines.removal import remove
from services.api.policy import names
from services.api.policy.choice import chosen
from services.api.policy.image_session import odd_variables, run_of
from services.api.policy.network_policy import first_free_port, publications_in
from services.api.policy.sizing import choose_sizes
from services.api.verbs.file_sync import send_files
from services.api.verbs.operations import under_way
from shared.bus.handlers import Call, handles
from shared.contract.messages.image import Image, Kernel
from shared.contract.messages.rows import VmReserve
from shared.contract.messages.vm import Vm, VmCreate, VmmWanted, VmView, WaitFor
from shared.contract.names import ID_LENGTHS, check_name
from shared.contract.sizes import host
from shared.contract.verb import Request
from shared.contract.verbs import api, images, store
from shared.errors import BangerError
from shared.host.files import require_space
from shared.logs import log_context, now_rfc3339
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
        async with under_way(
            context.operations, call, "vm.create", request.name or ""
        ) as operation:
            with context.machines.expected(new_id):
                vm = await self._reserve_by_plan(new_id, request, call)
                context.leased.add(vm)
                is_new = vm.id == new_id
                if not is_new:  # made by the same request before a crash; it may run by now
                    vm = context.live(vm)
                operation.subject = vm.name
                with log_context(vm=vm.id):
                    if request.start:
                        vm = await self._boot_or_undo(vm, request.wait, call, is_new=is_new)
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

    async def _reserve_by_plan(self, new_id: str, request: VmCreate, call: Call) -> Vm:
        """The new row. What can be refused is refused before there is one. Image and kernel are
        held until the row names them."""
        context = self._context
        mode = context.config.network_mode
        if request.name is not None:
            check_name(request.name, "a VM")
        require_space(context.paths.state, FIRST_BOOT_BYTES, "a VM")
        sizes = choose_sizes(request, context.config.defaults, host())
        given = chosen(request, mode)
        publish = publications_in(mode, request.publish, first_free_port())
        if request.name is not None or publish:  # before images are built
            claim = store.VM_CHECK(
                name=request.name or "", publish=publish, request_id=call.request_id
            )
            await context.ask(claim)
        async with contextlib.AsyncExitStack() as holds:
            image, kernel = await self._resolve(request, call, holds)
            context.image_configs.learn(image)
            given["vmm"] = request.vmm or context.config.vmm
            choice = await self._choose(given["vmm"], Path(kernel.path), call)
            call.progress("spec", f"{sizes} | {choice.vmm} ({choice.reason})")
            own = {"publish": publish, "lease": request.lease}
            spec = given | sizes.fields() | own | _boot_files(image, kernel)
            return await self._reserve(self._reservation(new_id, request, call, spec))

    def _reservation(
        self, new_id: str, request: VmCreate, call: Call, spec: dict[str, Any]
    ) -> VmReserve:
        """The request's id is in it: sent again after a crash, it gives the same VM."""
        config = self._context.config
        mode = config.network_mode
        return VmReserve(
            id=new_id,
            names=[request.name] if request.name else names.candidates(secrets.randbits(32)),
            network=mode,
            subnet=str(config.user_network) if mode == "user" else config.nat.subnet,
            request_id=call.request_id,
            state="starting" if request.start else "created",
            touched_at=now_rfc3339() if request.start else "",
            **spec,
        )

    async def _reserve(self, reservation: VmReserve) -> Vm:
        """A request that is cancelled here may still make the row; then the row is removed. When
        this api stops, the row stays: the caller asks the next api again."""
        context = self._context
        asking = asyncio.ensure_future(context.ask(store.VM_RESERVE.of(reservation)))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            if context.stopping.is_set():
                raise
            with contextlib.suppress(BangerError):
                await self._undo(await asking)
            raise

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

    async def _boot_or_undo(self, vm: Vm, stage: WaitFor, call: Call, *, is_new: bool) -> Vm:
        context = self._context
        try:
            async with context.machines.serialised(vm.id):
                told = await context.machines.boot(vm, call, is_new=is_new)
            await context.machines.await_stage(vm, stage, call)
        except (BangerError, asyncio.CancelledError) as error:
            if not context.stopping.is_set():
                await self._undo_creation(vm, error)
            raise
        return replace(vm, state=told.state, reason=told.reason)

    async def _undo_creation(self, vm: Vm, error: BaseException) -> None:
        """Remove a VM whose VMM never ran; keep one that failed, or whose systemd did, for a
        post-mortem."""
        try:
            row = await self._context.corrections.row(vm.id)
        except BangerError:
            return  # deleted meanwhile
        if isinstance(error, BangerError) and row.state in ("failed", "running"):
            error.details["kept"] = vm.name
            try:
                await self._context.end_lease(row)
            except BangerError as problem:  # the first error is what the caller has to hear
                error.details["undo_errors"] = [str(problem)]
            error.hint = f"{error.hint}; delete it with: banger vm delete {vm.name}".lstrip("; ")
            return
        problems = await self._undo(vm)
        if problems and isinstance(error, BangerError):
            error.details["undo_errors"] = problems
            error.message += f" (and undoing it failed: {'; '.join(problems)})"

    async def _undo(self, vm: Vm) -> list[str]:
        """Remove a VM; returns what went wrong. One that could not be ended keeps files and row."""
        context = self._context
        try:
            await context.machines.end(vm)
            problems = [str(each) for each in await remove(vm, context.ask, context.paths)]
        except BangerError as error:
            problems = [str(error)]
        for words in problems:
            context.log.error("undo failed", vm=vm.id, problem=words)
        return problems


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
