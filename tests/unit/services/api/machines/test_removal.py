"""Files and row go, the one whatever became of the other."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from services.api.machines import removal
from services.api.machines.removal import empty_trash, remove
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm.known_hosts import names_of, pin, pinned
from tests.example import example_vm
from tests.fakes.scene import Scene, play, settled

VM = example_vm()


def test_files_and_row_are_gone(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, VM) as scene:
            for directory in (paths.vm_run(VM.id), paths.vm_state(VM.id) / "deep"):
                directory.mkdir(parents=True)
            pin(paths.known_hosts, names_of(VM.id, VM.name, VM.address), "ssh-ed25519 AAAA")
            assert await remove(VM, scene.bus.ask, paths) == []
            assert scene.store.vms == {}
            left = (paths.vm_run(VM.id), paths.vm_state(VM.id))
            assert not any(path.exists() for path in left)
            assert not pinned(paths.known_hosts, f"{VM.name}.vm")

    play(act())


def test_what_was_put_away_is_removed_soon_or_by_the_next_api(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, VM) as scene:
            (paths.vm_state(VM.id) / "deep").mkdir(parents=True)
            assert await remove(VM, scene.bus.ask, paths) == []
            await settled(lambda: not list(paths.trash.iterdir()))
            (paths.trash / "left" / "deep").mkdir(parents=True)
            empty_trash(paths)
            assert list(paths.trash.iterdir()) == []

    play(act())


def test_what_is_gone_already_is_removed(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            assert await remove(VM, scene.bus.ask, paths) == []

    play(act())


def test_one_that_fails_does_not_keep_the_other(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, VM) as scene:
            paths.vm_state(VM.id).mkdir(parents=True)
            scene.bus.troubles["store vm.remove"].append(BangerError(Code.BUSY, "locked"))
            assert [str(problem) for problem in await remove(VM, scene.bus.ask, paths)] == [
                "locked"
            ]
            assert not paths.vm_state(VM.id).exists()
            paths.vm_state(VM.id).write_text("no directory")
            (problem,) = await remove(VM, scene.bus.ask, paths)
            assert isinstance(problem, NotADirectoryError)
            assert scene.store.vms == {}

    play(act())


def test_the_disks_go_also_where_no_name_can_be_unpinned(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That writes a file, and the disks may be what fills the filesystem."""

    def full(_file: Path, _vm_id: str) -> None:
        raise BangerError(Code.NO_SPACE, "no space left")

    async def act() -> None:
        async with Scene(paths, VM) as scene:
            monkeypatch.setattr(removal, "unpin", full)
            paths.vm_state(VM.id).mkdir(parents=True)
            (problem,) = await remove(VM, scene.bus.ask, paths)
            assert str(problem) == "no space left"
            assert not paths.vm_state(VM.id).exists()
            assert scene.store.vms == {}

    play(act())


def test_a_last_line_that_is_written_meanwhile_is_removed_too(paths: Paths) -> None:
    directory = paths.vm_state(VM.id)
    directory.mkdir(parents=True)

    def write() -> None:
        with contextlib.suppress(FileNotFoundError):  # at last the directory is gone
            for number in range(300):
                (directory / f"line-{number}").touch()

    async def act() -> None:
        async with Scene(paths, VM) as scene:
            writer = asyncio.create_task(asyncio.to_thread(write))
            problems = await remove(VM, scene.bus.ask, paths)
            await writer
            assert problems == []
            assert not directory.exists()

    play(act())
