"""Verbs of a build, which the api asks one after another: it has the VM in which steps are run."""

import asyncio
from types import NoneType

from msgspec.structs import replace

from services.images.context import ImagesContext
from services.images.library.shown import view_of
from services.images.verbs.capture import base_with_room
from shared.bus.handlers import Call, handles
from shared.contract.messages.build import (
    BuildBase,
    BuildKeep,
    BuildPlan,
    BuildQuestion,
    BuildRun,
    DisksPlaced,
)
from shared.contract.messages.image import Image
from shared.contract.messages.image_work import ImageFileBuild
from shared.contract.reference import by_id
from shared.contract.verbs import images
from shared.errors import BangerError


class BuildVerbs:
    """Files are read, and guests are reached, in workers."""

    def __init__(self, context: ImagesContext) -> None:
        self._context = context

    @handles(images.BUILD_BASE)
    async def base(self, request: ImageFileBuild, call: Call) -> BuildBase:
        """What the image will be called is checked now, before a base is fetched and a VM runs."""
        found = await self._context.jobs.run("build_base", request, BuildBase, call)
        if name := request.as_name or found.name:
            self._context.check_new_name(name)
        return found

    @handles(images.BUILD_PLAN)
    async def plan(self, request: BuildQuestion, call: Call) -> BuildPlan:
        await asyncio.to_thread(base_with_room, self._context, request.base.id)
        plan = await self._context.jobs.run("build_plan", request, BuildPlan, call)
        if request.force:
            return plan
        return await asyncio.to_thread(self._with_what_is_kept, plan)

    def _with_what_is_kept(self, plan: BuildPlan) -> BuildPlan:
        kept = self._context.kept
        counts = range(len(plan.keys), 0, -1)
        cached = next((count for count in counts if kept.has_disks(plan.keys[count - 1])), 0)
        return replace(plan, cached=cached, made=self._made(plan.key))

    def _made(self, key: str) -> Image | None:
        library = self._context.images.library
        if identifier := self._context.kept.image_of(key):
            try:
                return view_of(library, library.find(by_id(identifier)))
            except BangerError:
                return None  # deleted meanwhile
        return None

    @handles(images.BUILD_RUN)
    async def run(self, request: BuildRun, call: Call) -> None:
        await self._context.jobs.run("build_step", request, NoneType, call)

    @handles(images.BUILD_KEEP)
    async def keep(self, request: BuildKeep, _call: Call) -> None:
        vm_state = self._context.paths.vm_state(request.vm_id)
        await asyncio.to_thread(self._context.kept.keep_disks, request.key, vm_state)

    @handles(images.BUILD_DISKS)
    async def disks(self, request: BuildKeep, _call: Call) -> DisksPlaced:
        vm_state = self._context.paths.vm_state(request.vm_id)
        place = self._context.kept.place_disks
        return DisksPlaced(found=await asyncio.to_thread(place, request.key, vm_state))
