"""Verbs about images and kernels that need to know the VMs: delete, prune, who uses what."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from services.api.context import ApiContext
from services.api.machines.corrections import all_rows
from services.api.machines.disk_use import used_by_vms
from services.api.policy.holds import Published
from services.api.templates.upkeep import Upkeep
from shared.bus.handlers import Call, handles
from shared.contract.messages.image import Deleted, Image, Kernel, Ref
from shared.contract.messages.image_work import Prune, Pruned, SpaceUsed, StorageUsage
from shared.contract.messages.vm import Empty, Vm
from shared.contract.names import NAMES_CARRIED, NAMES_SHOWN, few
from shared.contract.reference import by_id
from shared.contract.verbs import api, images
from shared.errors import BangerError, Code


class ImageVerbs:
    """A VM needs its image and its kernel at every boot, so both stay as long as it does."""

    def __init__(self, context: ApiContext) -> None:
        self._ask = context.ask
        self._paths = context.paths
        self._image_holds = context.image_holds
        self._kernel_holds = context.kernel_holds
        self._kept = context.kept
        self._templates = Upkeep(context.templates, context.paths)
        self._library = context.templates.library

    @handles(api.IMAGE_SHOW)
    async def show_image(self, request: Ref, _call: Call) -> Image:
        image = await self._ask(images.IMAGE_SHOW(ref=request.ref))
        image.users = [vm.name for vm in await self._rows() if vm.image_id == image.id]
        return image

    async def _rows(self) -> list[Vm]:
        """Of users' VMs."""
        return [vm for vm in await all_rows(self._ask) if not vm.keeper]

    @handles(api.IMAGE_PRUNE)
    async def prune_images(self, request: Prune, call: Call) -> Pruned:
        used = self._used(await all_rows(self._ask))
        asked = images.IMAGE_PRUNE(dry_run=request.dry_run, used=used)
        done = await self._ask(asked, deadline=call.deadline)
        if not request.dry_run:
            await self._templates.remove_useless()
        return done

    @handles(api.SYSTEM_USAGE)
    async def system_usage(self, _request: Empty, call: Call) -> StorageUsage:
        rows = await all_rows(self._ask)
        usage = await self._ask(images.USAGE(used=self._used(rows)), deadline=call.deadline)
        usage.used += await asyncio.to_thread(self._used_here, rows)
        return usage

    def _used_here(self, rows: list[Vm]) -> list[SpaceUsed]:
        """By VMs, and by what is kept to make more of them, which could all be given back."""
        place = self._paths.vm_state
        users = used_by_vms(place(vm.id) for vm in rows if not vm.keeper)
        kept = used_by_vms(place(vm.id) for vm in rows if vm.keeper)
        keys = self._library.keys()
        templates = sum(map(self._library.real_bytes, keys))
        return [
            users,
            SpaceUsed(
                kind="templates", count=len(keys), real_bytes=templates, reclaimable=templates
            ),
            replace(kept, kind="pool", reclaimable=kept.real_bytes),
        ]

    def _used(self, rows: list[Vm]) -> list[str]:
        return sorted({vm.image_id for vm in rows} | set(self._image_holds.ids))

    @handles(api.IMAGE_DELETE)
    async def delete_image(self, request: Ref, _call: Call) -> Deleted:
        asked = self._ask(images.IMAGE_SHOW(ref=request.ref))
        image = await self._to_delete(asked)
        with self._image_holds.removing(image):
            await self._refuse_used("image", image, lambda vm: vm.image_id)
            await self._templates.remove_of(image_id=image.id)
            await self._kept.delete_all(lambda vm: vm.image_id == image.id)
            await self._ask(images.IMAGE_REMOVE(ref=by_id(image.id)))
        return image

    @handles(api.KERNEL_DELETE)
    async def delete_kernel(self, request: Ref, _call: Call) -> Deleted:
        asked = self._ask(images.KERNEL_SHOW(ref=request.ref))
        kernel = await self._to_delete(asked)
        with self._kernel_holds.removing(kernel):
            await self._refuse_used("kernel", kernel, lambda vm: vm.kernel_id)
            await self._templates.remove_of(kernel_id=kernel.id)
            await self._kept.delete_all(lambda vm: vm.kernel_id == kernel.id)
            await self._ask(images.KERNEL_REMOVE(ref=by_id(kernel.id)))
        return kernel

    async def _to_delete(self, asked: Awaitable[Image | Kernel]) -> Deleted:
        """What a request for an entry finds, also when that is damaged: it has an id at least."""
        try:
            found = await asked
        except BangerError as error:
            if error.code is not Code.INVALID or not error.details.get("id"):
                raise
            return Deleted(id=error.details["id"], name=error.details["id"])
        return Deleted(id=found.id, name=found.name)

    async def _refuse_used(self, kind: str, entry: Published, used: Callable[[Vm], str]) -> None:
        if users := [vm.name for vm in await self._rows() if used(vm) == entry.id]:
            raise BangerError(
                Code.CONFLICT,
                f"{kind} {entry.name} is used by {few(users)}",
                hint=f"delete what uses it: banger vm delete {' '.join(users[:NAMES_SHOWN])}",
                details={"vms": users[:NAMES_CARRIED]},
            )
