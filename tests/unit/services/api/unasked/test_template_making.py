"""A template is made of a VM of its own, which is gone afterwards whatever happens."""

import asyncio

import pytest

from services.api.unasked import template_making
from services.api.unasked.template_making import TemplateMaker
from shared.contract.verbs import supervisor
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.fakes.scene import play, settled
from tests.fakes.supervisor import FakeSupervisor
from tests.fakes.templates import created, make_template, scene_with_templates


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_making, "QUIET_SECONDS", 0.001)


def test_its_vm_is_of_nobody_and_is_gone_when_it_is_saved(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            vm = await created(scene)
            wanted = await make_template(scene)
            made_of = scene.supervisor().spec.vm
            assert (made_of.keeper, made_of.template) == ("template", wanted.key)
            assert made_of.name == made_of.id
            assert list(scene.store.vms) == [vm.id]
            assert scene.context.templates.library.keys() == [wanted.key]
            verbs = [verb.partition(" ")[2] for verb in scene.bus.verbs() if " machine." in verb]
            assert verbs[1:3] == [supervisor.START.name, supervisor.AWAIT_SYSTEM.name]
            last = supervisor.EXEC.name, supervisor.SAVE.name, supervisor.KILL.name
            assert verbs[-3:] == list(last)

    play(act())


@pytest.mark.parametrize("trouble", ["boot", "settle", "limit"])
def test_one_that_cannot_be_made_leaves_nothing(paths: Paths, trouble: str) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            vm = await created(scene)

            def fail(given: FakeSupervisor) -> None:
                given.exec_status = 1 if trouble == "settle" else 0
                if trouble == "boot":
                    given.failure = BangerError(Code.GUEST_FAILED, "no")

            scene.spare.setup = fail
            if trouble == "limit":
                scene.context.templates.library.limit = 1
                await make_template(scene)
            else:
                with pytest.raises(BangerError) as raised:
                    await make_template(scene)
                assert raised.value.code is Code.GUEST_FAILED
            assert list(scene.store.vms) == [vm.id]
            assert scene.context.templates.library.keys() == []

    play(act())


def test_a_making_that_is_cancelled_ends_its_vm(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            vm = await created(scene)

            def hold(given: FakeSupervisor) -> None:
                given.held = asyncio.Event()

            scene.spare.setup = hold
            wanted = scene.context.templates.wanted.still()[0]
            making = asyncio.create_task(TemplateMaker(scene.context).make(wanted))
            await settled(lambda: len(scene.spare.given) == 2)
            making.cancel()
            with pytest.raises(asyncio.CancelledError):
                await making
            assert list(scene.store.vms) == [vm.id]

    play(act())
