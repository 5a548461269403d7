"""Verbs about templates: list, show, prune. Making and using them needs no verb."""

from services.api.context import ApiContext
from services.api.templates.upkeep import Upkeep, find_template
from shared.bus.handlers import Call, handles
from shared.bus.paging import cut
from shared.contract.messages.image_work import Pruned, PrunedItem
from shared.contract.messages.page import After
from shared.contract.messages.template import Template, TemplateList, TemplatePrune, TemplateRef
from shared.contract.verbs import api


class TemplateVerbs:
    """A template has no data of users, so deleting one costs a boot and nothing else."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._upkeep = Upkeep(context.templates, context.paths)

    @handles(api.TEMPLATE_LIST)
    async def list_templates(self, request: After, _call: Call) -> TemplateList:
        found = self._with_pool(await self._upkeep.views())
        templates, cursor = cut(((each.key, each) for each in found), request.after)
        return TemplateList(templates=templates, next=cursor)

    @handles(api.TEMPLATE_SHOW)
    async def show(self, request: TemplateRef, _call: Call) -> Template:
        meant = find_template(await self._upkeep.views(), request.ref)
        (view,) = self._with_pool(await self._upkeep.views(check=True, only=meant.key))
        return view

    @handles(api.TEMPLATE_PRUNE)
    async def prune(self, request: TemplatePrune, _call: Call) -> Pruned:
        found = [each for each in await self._upkeep.views() if request.all or each.problems]
        if not request.dry_run:
            for each in found:
                self._context.templates.library.remove(each.key)
            keys = {each.key for each in found}
            await self._context.kept.delete_all(lambda vm: vm.template in keys)
        return Pruned(
            pruned=[
                PrunedItem(kind="template", name=each.key, real_bytes=each.real_bytes)
                for each in found
            ],
            real_bytes=sum(each.real_bytes for each in found),
        )

    def _with_pool(self, views: list[Template]) -> list[Template]:
        """With the number of VMs that can be handed over at once."""
        waiting = list(self._context.pool.waiting.values())
        for view in views:
            view.pool = waiting.count(view.key)
        return views
