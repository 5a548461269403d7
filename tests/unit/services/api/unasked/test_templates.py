"""Templates are made of what was booted lately, while nobody makes a VM."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from services.api.unasked import template_making, templates
from services.api.unasked.templates import MakeTemplates
from shared.paths import Paths
from tests.fakes.scene import Scene, play, settled
from tests.fakes.supervisor import FakeSupervisor
from tests.fakes.templates import created, scene_with_templates, settles


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_making, "QUIET_SECONDS", 0.001)
    monkeypatch.setattr(templates, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(templates, "is_quiet", lambda *_: True)
    monkeypatch.setattr(templates, "available_memory", lambda: 1 << 40)


@contextmanager
def making(scene: Scene) -> Iterator[None]:
    task = asyncio.create_task(MakeTemplates(scene.context).run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()


def test_what_was_booted_gets_a_template(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            library = scene.context.templates.library
            with making(scene):
                await created(scene)
                await settled(library.keys)
                await settled(lambda: len(scene.store.vms) == 1)
                assert (await created(scene, "gamma")).template == library.keys()[0]

    play(act())


def hold_the_keepers(scene: Scene) -> asyncio.Event:
    """From now on guests of kept VMs wait in their boot until the event is set."""
    held = asyncio.Event()

    def setup(given: FakeSupervisor) -> None:
        settles(given)
        given.held = held if given.spec.vm.keeper else None

    scene.spare.setup = setup
    return held


def test_a_users_vm_comes_first_and_the_template_after_it(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            held = hold_the_keepers(scene)
            with making(scene):
                await created(scene)
                await settled(lambda: len(scene.spare.given) == 2)  # it boots
                with scene.context.templates.creation():
                    await settled(lambda: len(scene.store.vms) == 1)
                    assert scene.context.templates.library.keys() == []
                held.set()
                await settled(scene.context.templates.library.keys)

    play(act())


def test_one_that_was_put_off_often_is_made_beside_users_vms(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            held = hold_the_keepers(scene)

            def booted(number: int) -> bool:
                return len(scene.spare.given) == number

            with making(scene):
                await created(scene)
                for number in range(templates.MOST_PUT_OFF):
                    await settled(partial(booted, 2 + number))
                    with scene.context.templates.creation():
                        await settled(lambda: len(scene.store.vms) == 1)
                await settled(partial(booted, 2 + templates.MOST_PUT_OFF))
                with scene.context.templates.creation():
                    held.set()
                    await settled(scene.context.templates.library.keys)

    play(act())


def test_one_that_could_not_be_made_is_not_tried_at_once(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            scene.spare.setup = lambda given: setattr(given, "exec_status", 1)
            with making(scene):
                await created(scene)
                (wanted,) = scene.context.templates.wanted.still()
                await settled(lambda: scene.context.templates.is_struck(wanted.key))
                assert len(scene.spare.given) == 2

    play(act())


@pytest.mark.parametrize("reason", ["closed", "memory", "busy"])
def test_none_is_made_while_that_would_be_in_the_way(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            await created(scene)
            (wanted,) = scene.context.templates.wanted.still()
            maker = MakeTemplates(scene.context)
            assert maker._may_begin(wanted)
            if reason == "closed":
                scene.context.kept.closed = True
            elif reason == "memory":
                monkeypatch.setattr(templates, "available_memory", lambda: 1 << 20)
            else:
                monkeypatch.setattr(templates, "is_quiet", lambda *_: False)
            assert not maker._may_begin(wanted)

    play(act())
