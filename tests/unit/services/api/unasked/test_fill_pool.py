"""When a VM of the pool is made, and when it is given back."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from services.api.templates import warm_pool
from services.api.templates.templates import TemplateKey
from services.api.unasked import fill_pool as under_test
from services.api.unasked.fill_pool import FillPool
from shared.config import Config
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.example import example_vm
from tests.fakes.saved import save_machine
from tests.fakes.scene import Scene, play, settled
from tests.fakes.supervisor import FakeSupervisor

ENOUGH = "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n"
SHORT = "MemTotal: 8388608 kB\nMemAvailable: 419430 kB\n"
Act = Callable[["Filling"], Coroutine[Any, Any, None]]


class Filling:
    """A scene with a template, whose kind is asked for."""

    def __init__(self, scene: Scene, proc: Path, key: TemplateKey) -> None:
        self.scene = scene
        self.key = key
        self.filler = FillPool(scene.context, proc)
        self._meminfo = proc / "meminfo"

    def memory(self, text: str) -> None:
        self._meminfo.write_text(text)

    async def look(self) -> None:
        await self.filler.look()

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        return [(vm.keeper, vm.state, vm.template) for vm in self.scene.store.vms.values()]

    @property
    def waits(self) -> list[tuple[str, str, str]]:
        return [("pool", "paused", self.key.key)]


@pytest.fixture
def filling(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Act], None]:
    monkeypatch.setattr(under_test, "REST_SECONDS", 0.0)
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\necho QEMU emulator version 7.2.0\n")
    qemu.chmod(0o755)
    kernel = paths.kernels / "k"
    kernel.mkdir(parents=True)
    config = Config(accel="tcg", qemu_bin=str(qemu), warm_pool=1)

    async def play_it(act: Act) -> None:
        async with Scene(paths, config=config, templates="1G") as scene:
            vm, templates = example_vm(), scene.context.templates
            fields = {name: getattr(vm, name) for name in vm.__struct_fields__}
            key = await templates.key_for(fields, "qemu")
            assert key
            save_machine(templates.library.draft(key.key), vm)
            templates.library.publish(key.key, key.facts, "debian")
            it = Filling(scene, tmp_path, key)
            it.memory(ENOUGH)
            scene.context.pool.ask(key, vm)
            await act(it)

    return lambda act: play(play_it(act))


def test_one_is_made_of_the_template_and_no_more(filling: Callable[[Act], None]) -> None:
    async def act(it: Filling) -> None:
        for _ in range(3):
            await it.look()
            assert it.rows == it.waits
        (vm,) = it.scene.store.vms.values()
        assert vm.name == vm.id
        assert it.scene.supervisor().spec.saved.endswith(it.key.key)
        assert it.scene.context.pool.waiting == {vm.id: it.key.key}

    filling(act)


def test_none_is_made_without_a_template_or_when_it_is_not_the_time(
    filling: Callable[[Act], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(it: Filling) -> None:
        context = it.scene.context
        it.memory(SHORT)
        await it.look()
        it.memory(ENOUGH)
        with context.templates.creation():
            await it.look()
        context.kept.closed = True
        await it.look()
        context.kept.closed = False
        with monkeypatch.context() as patch:
            patch.setattr(under_test, "REST_SECONDS", 60.0)
            await it.look()
        shutil.rmtree(context.templates.place(it.key.key))
        await it.look()
        assert it.rows == []

    filling(act)


def test_one_is_given_back_when_memory_is_short_and_none_is_made_then(
    filling: Callable[[Act], None],
) -> None:
    async def act(it: Filling) -> None:
        await it.look()
        it.memory(SHORT)
        for _ in range(2):
            await it.look()
            assert (it.rows, it.scene.context.pool.waiting) == ([], {})

    filling(act)


def test_all_are_given_back_when_nobody_is_at_work(
    filling: Callable[[Act], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(it: Filling) -> None:
        await it.look()
        monkeypatch.setattr(warm_pool, "AT_WORK_SECONDS", -1.0)
        await it.look()
        assert it.rows == []

    filling(act)


def test_those_of_another_kind_are_given_back(filling: Callable[[Act], None]) -> None:
    async def act(it: Filling) -> None:
        await it.look()
        other = TemplateKey("0" * 16, it.key.facts)
        it.scene.context.pool.ask(other, example_vm())
        await it.look()
        assert it.rows == []

    filling(act)


def test_a_users_vm_comes_first(filling: Callable[[Act], None]) -> None:
    async def act(it: Filling) -> None:
        def hold(given: FakeSupervisor) -> None:
            given.held = asyncio.Event()

        it.scene.spare.setup = hold
        looking = asyncio.create_task(it.look())
        await settled(lambda: it.scene.spare.given)
        with it.scene.context.templates.creation():
            await looking
            assert it.rows == []
        it.scene.spare.setup = lambda _: None
        await it.look()
        assert it.rows == it.waits

    filling(act)


def test_one_that_cannot_be_made_is_not_tried_again_at_once(
    filling: Callable[[Act], None],
) -> None:
    async def act(it: Filling) -> None:
        def fail(given: FakeSupervisor) -> None:
            given.failure = BangerError(Code.GUEST_FAILED, "it panicked")

        it.scene.spare.setup = fail
        for _ in range(2):
            await it.look()
            assert (it.rows, len(it.scene.spare.given)) == ([], 1)

    filling(act)


def test_one_that_has_ended_is_replaced(filling: Callable[[Act], None]) -> None:
    async def act(it: Filling) -> None:
        await it.look()
        (vm,) = it.scene.store.vms.values()
        await it.scene.context.machines.end(vm)
        await it.look()
        assert vm.id not in it.scene.context.pool.waiting

    filling(act)


def test_one_that_is_without_a_supervisor_for_a_moment_goes_on_waiting(
    filling: Callable[[Act], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its VMM lives, and the next supervisor is on its way."""

    async def act(it: Filling) -> None:
        await it.look()
        with monkeypatch.context() as patch:
            patch.setattr(it.scene.context.machines, "supervised", lambda _: False)
            await it.look()
        assert it.rows == it.waits
        assert [*it.scene.context.pool.waiting] == [*it.scene.store.vms]

    filling(act)


# -- after the death of an api ----------------------------------------------------------------


async def next_api(it: Filling) -> FillPool:
    """The pool is only known by its rows."""
    it.scene.context.pool.__init__(1)  # type: ignore[misc]
    filler = FillPool(it.scene.context, it.filler._proc)
    await filler.recover(list(it.scene.store.vms.values()))
    return filler


def test_the_next_api_goes_on_with_what_waits(filling: Callable[[Act], None]) -> None:
    async def act(it: Filling) -> None:
        await it.look()
        (vm,) = it.scene.store.vms.values()
        filler = await next_api(it)
        await filler.look()
        assert it.scene.context.pool.waiting == {vm.id: it.key.key}
        assert it.rows == it.waits

    filling(act)


@pytest.mark.parametrize("changes", [{"state": "starting"}, {"template": "0" * 16}])
def test_the_next_api_removes_what_is_of_no_use(
    filling: Callable[[Act], None], changes: dict[str, Any]
) -> None:
    async def act(it: Filling) -> None:
        await it.look()
        for vm in it.scene.store.vms.values():
            changed(vm, changes)
        await next_api(it)
        assert (it.rows, it.scene.context.pool.waiting) == ([], {})

    filling(act)


def test_the_next_api_hands_over_what_a_user_has_got(filling: Callable[[Act], None]) -> None:
    async def act(it: Filling) -> None:
        await it.look()
        (vm,) = it.scene.store.vms.values()
        user = {"keeper": "", "from_pool": True, "state": "running", "name": "web"}
        changed(vm, user)
        await next_api(it)
        assert it.scene.bus.verbs()[-1] == "vm machine.hand_over"
        assert it.scene.row("web").state == "running"
        assert it.scene.supervisor().spec.vm.name == "web"

    filling(act)


def changed(vm: Vm, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(vm, name, value)
