"""``vm.create``: decide everything, reserve, boot, and undo it all when that fails."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from services.api.context import ApiBase
from services.api.policy import names
from services.api.policy.network_policy import (
    check_egress,
    check_publications,
    first_free_port,
    refuse_taken,
)
from services.api.policy.sizing import choose_sizes
from services.api.vm_view import view
from shared.bus.handlers import Call, handles
from shared.contract.messages.image import Image, Kernel
from shared.contract.messages.vm import (
    Vm,
    VmCreate,
    VmmWanted,
    VmReserve,
    VmView,
)
from shared.contract.names import check_name
from shared.contract.sizes import host
from shared.contract.verb import Request
from shared.contract.verbs import api, images, store
from shared.errors import BangerError, Code
from shared.logs import log_context, now_rfc3339
from shared.vmm.choice import Choice, choose
from shared.vmm.info import LaunchContext

S = TypeVar("S")
T = TypeVar("T")
RANDOM_NAMES = 5
"""How many are tried before the store's refusal is the answer."""


class Creation(ApiBase):
    """Verbs that make VMs."""

    @handles(api.VM_CREATE)
    async def create(self, request: VmCreate, call: Call) -> VmView:
        async with self._operation(call, "vm.create", request.name or "") as operation:
            vm = await self._made_before(call)
            if vm is None:
                async with contextlib.AsyncExitStack() as holds:
                    vm = await self._reserve_by_name(
                        request, await self._plan(request, call, holds)
                    )
            operation.subject = vm.name
            with log_context(vm=vm.id):
                if request.start:
                    await self._boot_or_undo(vm, call)
                    return view(await self._find(vm.id), self.paths)
                return view(vm, self.paths)

    async def _made_before(self, call: Call) -> Vm | None:
        """The VM of a request that is sent again after a crash: nothing is decided anew, since its
        own name and ports are taken, by itself."""
        made = await self.ask(store.VM_BY_REQUEST(request_id=call.request_id))
        return next(iter(made.vms), None)

    async def _reserve_by_name(self, request: VmCreate, reservation: VmReserve) -> Vm:
        """A random name may have gone to a creation of the same moment: then it is another one."""
        for _ in range(RANDOM_NAMES if request.name is None else 0):
            try:
                return await self._reserve_with_ports(reservation)
            except BangerError as error:
                taken = {vm.name for vm in await self._rows()}
                if error.code is not Code.CONFLICT or reservation.name not in taken:
                    raise
                reservation.name = names.random_name(taken, secrets.randbits(32))
        return await self._reserve_with_ports(reservation)

    async def _reserve_with_ports(self, reservation: VmReserve) -> Vm:
        if not reservation.publish:
            return await self._reserve(reservation)
        async with self._publishing:
            refuse_taken(reservation.publish, await self._rows())
            return await self._reserve(reservation)

    async def _reserve(self, reservation: VmReserve) -> Vm:
        """The row. A cancel does not keep the store from making it, so it is undone then; not when
        this api stops, whose successor is asked again."""
        asking = asyncio.ensure_future(self.ask(store.VM_RESERVE.of(reservation)))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            if self.stopping.is_set():
                raise
            with contextlib.suppress(BangerError):
                await self._undo(await asking)
            raise

    async def _boot_or_undo(self, vm: Vm, call: Call) -> None:
        try:
            async with self._machines.serialised(vm.id):
                self.background.keep(self._touch(vm.id))
                await self._machines.boot(vm, call)
        except (BangerError, asyncio.CancelledError) as error:
            if not self.stopping.is_set():
                await self._undo_creation(vm, error)
            raise

    async def _touch(self, vm_id: str) -> None:
        """Note that somebody uses it now; nobody waits for this."""
        try:
            await self.ask(store.VM_UPDATE(id=vm_id, touched_at=now_rfc3339()))
        except BangerError as error:
            self.log.warning("use not noted", vm=vm_id, error=error.message)

    async def _plan(
        self, request: VmCreate, call: Call, holds: contextlib.AsyncExitStack
    ) -> VmReserve:
        """Everything that can be refused is refused here, before there is a row. ``holds`` keeps
        image and kernel from being deleted."""
        if request.name is not None:
            check_name(request.name, "a VM")
        sizes = choose_sizes(request, self._config.defaults, host())
        mode = self._config.network_mode
        allow = check_egress(mode, nat=request.nat, allow=request.allow)
        publish = check_publications(mode, request.publish, first_free_port())
        refuse_taken(publish, await self._rows())  # before images are built
        taken = {vm.name for vm in await self._rows()}
        image, kernel = await self._resolve(request, call, holds)
        vmm = request.vmm or self._config.vmm
        choice = await self._choose(vmm, Path(kernel.path), call)
        call.progress("spec", f"{sizes} | {choice.vmm} ({choice.reason})")
        return VmReserve(
            id=secrets.token_hex(6),
            name=request.name or names.random_name(taken, secrets.randbits(32)),
            image_id=image.id,
            image_name=image.name,
            kernel_id=kernel.id,
            vcpu=sizes.vcpu,
            memory_mib=sizes.memory_mib,
            disk_bytes=sizes.disk_bytes,
            overlay_bytes=sizes.overlay_bytes,
            nat=request.nat,
            allow=allow,
            publish=publish,
            vmm=vmm,
            network=mode,
            subnet=self._config.user_subnet if mode == "user" else self._config.nat.subnet,
            request_id=call.request_id,
        )

    async def _choose(self, wanted: VmmWanted, kernel: Path, call: Call) -> Choice:
        """What would run it now; refuses what cannot be, while there is nothing to undo."""
        loop = asyncio.get_running_loop()
        context = LaunchContext(
            self._config,
            kernel,
            self.paths.run,
            lambda words: loop.call_soon_threadsafe(call.progress, "vmm", words),
        )
        return await asyncio.to_thread(choose, wanted, self._config.network_mode, context)

    async def _resolve(
        self, request: VmCreate, call: Call, holds: contextlib.AsyncExitStack
    ) -> tuple[Image, Kernel]:
        """Image and kernel, built or pulled when they are not here yet."""
        defaults = self._config.defaults
        holder = request.name or ""

        async def ask(request: Request[T]) -> T:
            return await self.ask(request, deadline=call.deadline, on_partial=call.progress)

        image = images.IMAGE_RESOLVE(ref=request.image or defaults.image)
        kernel = images.KERNEL_RESOLVE(ref=defaults.kernel)
        return await _both(
            holds.enter_async_context(self._image_holds.held(holder, lambda: ask(image))),
            holds.enter_async_context(self._kernel_holds.held(holder, lambda: ask(kernel))),
        )

    async def _undo_creation(self, vm: Vm, error: BaseException) -> None:
        """A VM whose VMM never ran leaves nothing; one that did is kept for a post-mortem."""
        rows = {row.id: row for row in await self._rows_when_there()}
        if vm.id not in rows:
            return  # deleted meanwhile
        if isinstance(error, BangerError) and rows[vm.id].state == "failed":
            error.details["kept"] = vm.name
            error.hint = f"{error.hint}; delete it with: banger vm delete {vm.name}".lstrip("; ")
            return
        problems = await self._undo(vm)
        if problems and isinstance(error, BangerError):
            error.details["undo_errors"] = problems
            error.message += f" (and undoing it failed: {'; '.join(problems)})"

    async def _undo(self, vm: Vm) -> list[str]:
        """Returns what went wrong."""
        try:
            problems = [str(problem) for problem in await self._remove(vm)]
        except BangerError as error:
            problems = [str(error)]
        for words in problems:
            self.log.error("undo failed", vm=vm.id, problem=words)
        return problems

    async def _remove(self, vm: Vm) -> list[BangerError | OSError]:
        """End a VM and remove its files and its row, the one whatever became of the other; returns
        what went wrong.

        Raises:
            BangerError: it could not be ended; then it keeps both.
        """
        await self._machines.end(vm)
        steps: list[Callable[[], Awaitable[object]]] = [
            lambda: self._machines.remove_files(vm),
            lambda: self.ask(store.VM_REMOVE(id=vm.id)),
        ]
        problems: list[BangerError | OSError] = []
        for step in steps:
            try:
                await step()
            except (BangerError, OSError) as problem:
                problems.append(problem)
        return problems


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
