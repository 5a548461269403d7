"""Templates as users see them."""

import pytest

from services.api.unasked import template_making
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from tests.example import example_vm
from tests.fakes.images import IMAGE, KERNEL
from tests.fakes.scene import play
from tests.fakes.templates import created, make_template, scene_with_templates

POOLED = example_vm(id="c" * 12, name="c" * 12, keeper="pool", state="paused", image_id="x")


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_making, "QUIET_SECONDS", 0.001)


def test_they_are_listed_and_shown_with_what_waits_and_what_is_damaged(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            assert (await scene.bus.ask(api.TEMPLATE_LIST())).templates == []
            await created(scene)
            key = (await make_template(scene)).key
            scene.context.pool.add(POOLED.id, key)
            scene.context.pool.add("d" * 12, "another")
            (listed,) = (await scene.bus.ask(api.TEMPLATE_LIST())).templates
            assert (listed.key, listed.pool, listed.problems) == (key, 1, [])
            assert await scene.bus.ask(api.TEMPLATE_SHOW(ref=key[:3])) == listed
            (paths.templates / key / files.MEMORY).write_bytes(b"MEMORY")
            shown = await scene.bus.ask(api.TEMPLATE_SHOW(ref=key))
            assert "is damaged" in shown.problems[0]
            with pytest.raises(BangerError) as raised:
                await scene.bus.ask(api.TEMPLATE_SHOW(ref="z"))
            assert raised.value.code is Code.NOT_FOUND

    play(act())


def test_prune_takes_what_is_of_no_use_or_all_and_what_waits_with_it(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths, POOLED) as scene:
            vm = await created(scene)
            key = (await make_template(scene)).key
            scene.store.vms[POOLED.id].template = key
            assert (await scene.bus.ask(api.TEMPLATE_PRUNE())).pruned == []
            for dry_run in (True, False):
                done = await scene.bus.ask(api.TEMPLATE_PRUNE(all=True, dry_run=dry_run))
                assert [(each.kind, each.name) for each in done.pruned] == [("template", key)]
                assert done.real_bytes == done.pruned[0].real_bytes > 0
                left = [] if not dry_run else [key]
                assert scene.context.templates.library.keys() == left
            assert list(scene.store.vms) == [vm.id]

    play(act())


@pytest.mark.parametrize("verb", [api.IMAGE_DELETE, api.KERNEL_DELETE])
def test_an_image_and_a_kernel_take_their_templates_with_them(paths: Paths, verb: object) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            vm = await created(scene)
            key = (await make_template(scene)).key
            ref = IMAGE.name if verb is api.IMAGE_DELETE else KERNEL.name
            with pytest.raises(BangerError) as raised:
                await scene.bus.ask(verb(ref=ref))  # type: ignore[operator]
            assert raised.value.code is Code.CONFLICT
            assert scene.context.templates.library.keys() == [key]  # a VM uses it: nothing changes
            usage = {each.kind: each for each in (await scene.bus.ask(api.SYSTEM_USAGE())).used}
            assert usage["templates"].count == 1
            assert usage["templates"].reclaimable == usage["templates"].real_bytes > 0
            await scene.bus.ask(api.VM_DELETE(ref=vm.name))
            await scene.bus.ask(verb(ref=ref))  # type: ignore[operator]
            assert scene.context.templates.library.keys() == []

    play(act())
