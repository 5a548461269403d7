"""Files of the user go into a guest after each boot, and never spoil one."""

import asyncio
from typing import Any

import pytest

from shared.config import Config
from shared.contract.verb import Request
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.file_sync import FileSync
from shared.paths import Paths
from tests.example import example_vm
from tests.fakes.scene import SMALL, Scene, play, settled

CONFIG = Config(file_sync=[FileSync(host="~/.netrc", guest="~/.netrc")])
SENT = "workspaces transfer.files"


@pytest.mark.parametrize(
    "boot",
    [api.VM_CREATE(name="new", **SMALL), api.VM_START(ref="beta"), api.VM_RESTART(ref="beta")],
)
def test_each_boot_sends_them_and_says_what_is_missing(paths: Paths, boot: Request[Any]) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(), config=CONFIG) as scene:
            shown = await scene.bus.ask(boot)
            assert shown.notices == ["~/.netrc is not there"]
            assert [each.vm_id for each in scene.workspaces.targets] == [shown.vm.id]

    play(act())


def test_without_files_and_without_a_boot_nothing_is_asked(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.bus.ask(api.VM_CREATE(name="beta", **SMALL))
            assert SENT not in scene.bus.verbs()
        async with Scene(paths, config=CONFIG) as scene:
            await scene.running()
            await scene.bus.ask(api.VM_START(ref="beta"))
            assert SENT not in scene.bus.verbs()
            await scene.bus.ask(api.VM_CREATE(name="cold", start=False, **SMALL))
            assert SENT not in scene.bus.verbs()

    play(act())


def test_a_failure_is_a_notice(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, config=CONFIG) as scene:
            scene.bus.troubles[SENT].append(BangerError(Code.NO_SPACE, "the disk is full"))
            shown = await scene.bus.ask(api.VM_CREATE(name="beta", **SMALL))
            assert shown.vm.state == "running"
            assert shown.notices == ["the files of file_sync are not in beta: the disk is full"]

    play(act())


def test_a_cancel_comes_too_late_for_the_boot(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, config=CONFIG) as scene:
            scene.workspaces.held = asyncio.Event()
            task = asyncio.create_task(scene.bus.ask(api.VM_CREATE(name="beta", **SMALL)))
            await settled(lambda: scene.workspaces.targets)
            task.cancel()
            shown = await task
            assert shown.vm.state == "running"
            assert shown.notices == ["the files of file_sync are not in beta: it was cancelled"]

    play(act())
