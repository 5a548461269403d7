"""Suspend, save and restore, with a scripted VMM that saves a few bytes."""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.disks import copies
from services.vm_supervisor.drivers.contract import ExitReason
from services.vm_supervisor.lifecycle import saving as under_test
from shared.contract.messages.vm import State
from shared.errors import BangerError, Code
from shared.host.retry import poll_async
from shared.vm import files, publish_saved
from shared.vm.at_rest import state_at_rest
from shared.vm.handle import read_handle
from shared.vm.saved import MachineFacts, read_saved
from tests.unit.services.vm_supervisor.disks.saved_machines import fill, save, words
from tests.unit.services.vm_supervisor.lifecycle.bench import SECONDS, Bench, scenario
from tests.unit.shared.vm.test_saved import FACTS

Play = Callable[[Bench], Coroutine[Any, Any, None]]
DISKS = {"overlay.ext4": "old", "work.ext4": "old", "workspaces/placed": "old"}


def silent(_stage: str, _words: str) -> None:
    pass


@pytest.fixture(autouse=True)
def _facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of any VM: what makes them has tests of its own."""
    monkeypatch.setattr(under_test, "facts_of_disks", lambda _spec: MachineFacts(**FACTS))


def with_vm(root: Path, play: Play, state: State = "running") -> None:
    """A VM with disks that say "old", running or paused, or without a VMM."""

    async def played(bench: Bench) -> None:
        fill(bench.directory, "old", memory=False)
        await play(bench)

    scenario(root, played, machine=state in ("running", "paused"), state=state, facts=FACTS)


def drafts(bench: Bench) -> list[str]:
    return [path.name for path in bench.directory.rglob(".banger*")]


# -- suspend --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_suspended_vm_has_its_memory_on_disk_and_no_vmm(tmp_path: Path, state: State) -> None:
    async def play(bench: Bench) -> None:
        await bench.supervision.saving.suspend(silent)
        await bench.left.wait()
        assert bench.told[-1] == ("suspended", "")
        assert bench.machine.signals == [signal.SIGKILL]
        assert bench.machine.paused, "its guest must not go on: its disks are those of the memory"
        saved = read_saved(bench.directory / files.SUSPENDED)
        assert (saved.memory, saved.vm_id, saved.copied) == ("file", bench.vm.id, "")
        assert words(bench.directory) == DISKS | {
            "suspended/device_state": "saved", "suspended/memory": "saved",
        }  # fmt: skip

    with_vm(tmp_path, play, state)


def test_a_guest_goes_on_when_its_memory_cannot_be_saved(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.machine.trouble = BangerError(Code.NO_SPACE, "the disk is full")
        with pytest.raises(BangerError, match="the disk is full"):
            await bench.supervision.saving.suspend(silent)
        assert not bench.machine.paused
        assert (bench.machine.signals, drafts(bench)) == ([], [])
        assert bench.supervision.life.state == "running"
        assert state_at_rest(bench.directory) == "stopped"

    with_vm(tmp_path, play)


def test_room_is_asked_for_before_the_guest_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(bench: Bench) -> None:
        monkeypatch.setattr("shared.host.files.free_bytes", lambda _: 0)
        for work in (
            bench.supervision.saving.suspend(silent),
            bench.supervision.saving.save(bench.directory / "s", memory=True, report=silent),
        ):
            with pytest.raises(BangerError) as refused:
                await work
            assert refused.value.code is Code.NO_SPACE
        assert bench.machine.pauses == 0

    with_vm(tmp_path, play)


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_suspend_that_is_cancelled_leaves_the_guest_as_it_was(
    tmp_path: Path, state: State
) -> None:
    async def play(bench: Bench) -> None:
        bench.machine.saving = asyncio.Event()
        task = asyncio.create_task(bench.supervision.saving.suspend(silent))
        await bench.machine.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bench.machine.paused == (state == "paused")
        assert (bench.machine.signals, drafts(bench)) == ([], [])

    with_vm(tmp_path, play, state)


def test_a_cancel_that_comes_too_late_is_not_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def play(bench: Bench) -> None:
        loop = asyncio.get_running_loop()

        def publish(*arguments: Any) -> None:
            publish_saved.publish(*arguments)
            loop.call_soon_threadsafe(tasks[0].cancel)

        monkeypatch.setattr(under_test, "publish", publish)
        tasks.append(asyncio.create_task(bench.supervision.saving.suspend(silent)))
        await tasks[0]
        assert bench.told[-1] == ("suspended", "")

    with_vm(tmp_path, play)


def test_two_suspends_at_once_are_one(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        results = await asyncio.gather(
            *(bench.supervision.saving.suspend(silent) for _ in range(2)), return_exceptions=True
        )
        late = [each for each in results if each]
        assert [each.code for each in late if isinstance(each, BangerError)] == [Code.UNAVAILABLE]
        assert len(bench.machine.signals) == 1

    with_vm(tmp_path, play)


def test_a_resume_waits_until_the_memory_is_saved(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.machine.saving = asyncio.Event()
        target = bench.directory / files.SNAPSHOTS / "one"
        save = bench.supervision.saving.save(target, memory=True, report=silent)
        saving = asyncio.create_task(save)
        await bench.machine.begun.wait()
        resuming = asyncio.create_task(bench.supervision.resume())
        await asyncio.wait([resuming], timeout=0.02)
        assert bench.machine.paused
        bench.machine.saving.set()
        await saving
        await resuming
        assert not bench.machine.paused

    with_vm(tmp_path, play, "paused")


def test_a_vmm_of_an_older_version_is_not_saved(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        assert bench.supervision.life.running
        bench.supervision.life.running.handle.facts = None
        with pytest.raises(BangerError, match="started by an older version"):
            await bench.supervision.saving.suspend(silent)
        assert bench.machine.pauses == 0

    with_vm(tmp_path, play)


@pytest.mark.parametrize("reason", [ExitReason.KILLED, ExitReason.CRASHED])
def test_a_vmm_that_ends_while_it_is_saved_has_failed(tmp_path: Path, reason: ExitReason) -> None:
    async def play(bench: Bench) -> None:
        bench.machine.saving = asyncio.Event()
        task = asyncio.create_task(bench.supervision.saving.suspend(silent))
        await bench.machine.begun.wait()
        bench.machine.trouble = BangerError(Code.NOT_RUNNING, "the VMM is gone")
        bench.machine.end(reason)
        await bench.left.wait()
        bench.machine.saving.set()
        with pytest.raises(BangerError):
            await task
        assert bench.told[-1][0] == "failed"
        assert (state_at_rest(bench.directory), drafts(bench)) == ("stopped", [])

    with_vm(tmp_path, play)


# -- save -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "paused"])
@pytest.mark.parametrize("memory", [False, True])
def test_a_machine_is_saved_and_goes_on(tmp_path: Path, state: State, *, memory: bool) -> None:
    async def play(bench: Bench) -> None:
        target = bench.directory / files.SNAPSHOTS / "one"
        told = await bench.supervision.saving.save(target, memory=memory, report=silent)
        assert bench.machine.paused == (state == "paused")
        assert (bench.supervision.life.state, bench.machine.signals) == (state, [])
        saved = read_saved(target)
        assert (saved.memory is not None, told.memory) == (memory, memory)
        assert {"overlay.ext4", "work.ext4"} <= saved.files.keys()
        assert (told.pause_seconds > 0) == (state == "running")
        assert bench.machine.collected == ([state == "paused"] if memory else [])
        assert told.real_bytes > 0

    with_vm(tmp_path, play, state)


def test_a_guest_goes_on_when_its_disks_cannot_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        assert paused
        raise BangerError(Code.NO_SPACE, "the disk is full")

    paused = True

    async def play(bench: Bench) -> None:
        monkeypatch.setattr(copies, "copy_disks", refuse)
        target = bench.directory / files.SNAPSHOTS / "one"
        with pytest.raises(BangerError, match="the disk is full"):
            await bench.supervision.saving.save(target, memory=True, report=silent)
        assert not bench.machine.paused
        assert (drafts(bench), target.exists()) == ([], False)

    with_vm(tmp_path, play)


def test_a_directory_that_is_there_is_refused_before_anything(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        (target := bench.directory / files.SNAPSHOTS / "one").mkdir(parents=True)
        with pytest.raises(BangerError) as refused:
            await bench.supervision.saving.save(target, memory=True, report=silent)
        assert refused.value.code is Code.CONFLICT
        assert bench.machine.pauses == 0

    with_vm(tmp_path, play)


def test_a_stopped_vm_is_saved_without_memory(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        target = bench.directory / files.SNAPSHOTS / "one"
        told = await bench.supervision.saving.save(target, memory=True, report=silent)
        assert (told.memory, told.pause_seconds) == (False, 0.0)
        assert words(target) == DISKS

    with_vm(tmp_path, play, "stopped")


@pytest.mark.parametrize("memory", [False, True])
def test_a_suspended_vm_is_saved_with_its_memory(tmp_path: Path, *, memory: bool) -> None:
    async def play(bench: Bench) -> None:
        save(bench.directory / files.SUSPENDED, "old", disks=False)
        bench.supervision.life.state = "suspended"
        target = bench.directory / files.SNAPSHOTS / "one"
        told = await bench.supervision.saving.save(target, memory=memory, report=silent)
        assert told.memory == memory
        assert (read_saved(target).memory is not None) == memory
        assert read_saved(bench.directory / files.SUSPENDED)

    with_vm(tmp_path, play, "stopped")


# -- restore and discard --------------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "paused", "stopped"])
@pytest.mark.parametrize("memory", [False, True])
def test_a_vm_becomes_its_snapshot(tmp_path: Path, state: State, *, memory: bool) -> None:
    async def play(bench: Bench) -> None:
        source = save(bench.directory / files.SNAPSHOTS / "one", "new", memory=memory)
        await bench.supervision.saving.restore(source, memory=True, report=silent)
        await bench.left.wait()
        assert bench.told[-1] == ("suspended" if memory else "stopped", "")
        assert words(bench.directory)["overlay.ext4"] == "new"
        assert read_saved(source)
        assert drafts(bench) == []

    with_vm(tmp_path, play, state)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_the_disks_of_a_snapshot_may_be_had_alone(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has become of its memory, and of the VMM that could load it."""
    any_vmm: dict[str, Any] = {
        "vmm": "",
        "vmm_version": "",
        "accel": "",
        "cpu": "",
        "tsc_khz": None,
        "devices": [],
    }
    alone = MachineFacts(**FACTS | any_vmm)
    monkeypatch.setattr(under_test, "facts_of_disks", lambda _spec: alone)

    async def play(bench: Bench) -> None:
        source = save(bench.directory / files.SNAPSHOTS / "one", "new")
        bench.launcher.wanted = MachineFacts(**FACTS | {"vmm_version": "9.0"})
        (source / files.MEMORY).write_text("newer")
        await bench.supervision.saving.restore(source, memory=False, report=silent)
        await bench.left.wait()
        assert bench.told[-1] == ("stopped", "")
        assert words(bench.directory)["overlay.ext4"] == "new"
        assert not (bench.directory / files.SUSPENDED).exists()
        assert (source / files.MEMORY).read_text() == "newer"

    with_vm(tmp_path, play, state)


@pytest.mark.parametrize(
    ("change", "code"),
    [({"kernel_id": "f" * 16}, Code.INCOMPATIBLE), ({"vmm_version": "9.0"}, Code.INCOMPATIBLE)],
)
def test_what_does_not_fit_is_refused_and_nothing_has_changed(
    tmp_path: Path, change: dict[str, Any], code: Code
) -> None:
    async def play(bench: Bench) -> None:
        source = save(bench.directory / files.SNAPSHOTS / "one", "new")
        bench.launcher.wanted = MachineFacts(**FACTS | change)
        with pytest.raises(BangerError) as refused:
            await bench.supervision.saving.restore(source, memory=True, report=silent)
        assert refused.value.code is code
        assert words(bench.directory)["overlay.ext4"] == "old"
        assert (bench.machine.signals, bench.machine.pauses) == ([], 0)

    with_vm(tmp_path, play)


def test_a_damaged_memory_is_refused_and_nothing_has_changed(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        source = save(bench.directory / files.SNAPSHOTS / "one", "new")
        (source / files.MEMORY).write_text("newer")
        with pytest.raises(BangerError) as refused:
            await bench.supervision.saving.restore(source, memory=True, report=silent)
        assert refused.value.code is Code.INVALID
        assert bench.machine.signals == []

    with_vm(tmp_path, play)


def test_a_restore_that_is_cancelled_after_its_vmm_was_ended_is_done(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        source = save(bench.directory / files.SNAPSHOTS / "one", "new")
        bench.machine.stuck = True
        task = asyncio.create_task(
            bench.supervision.saving.restore(source, memory=True, report=silent)
        )
        assert await poll_async(lambda: bench.machine.signals, time.monotonic() + SECONDS)
        task.cancel()
        bench.machine.end(ExitReason.KILLED)
        await task
        assert bench.told[-1] == ("suspended", "")

    with_vm(tmp_path, play)


def test_memory_is_dropped_for_good(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        save(bench.directory / files.SUSPENDED, "old", disks=False)
        bench.supervision.life.state = "suspended"
        await bench.supervision.saving.discard()
        await bench.left.wait()
        assert bench.told[-1] == ("stopped", "")
        assert words(bench.directory) == DISKS

    with_vm(tmp_path, play, "stopped")


# -- takeover -------------------------------------------------------------------------------


def test_a_vmm_whose_memory_was_published_is_ended_by_a_successor(tmp_path: Path) -> None:
    """As when its supervisor was killed before it could end it, or before it let the guest go on.
    No guest has run since in either case."""

    async def play(bench: Bench) -> None:
        assert bench.supervision.life.running is None
        assert bench.supervision.life.state == "suspended"
        assert bench.machine.signals == [signal.SIGKILL]
        assert read_handle(bench.launcher.paths.vm_run(bench.vm.id)) is None

    scenario(tmp_path, play, facts=FACTS, suspended=True)


@pytest.mark.parametrize(("state", "resumes"), [("running", True), ("paused", False)])
def test_a_guest_that_stands_still_goes_on_with_a_successor(
    tmp_path: Path, state: State, *, resumes: bool
) -> None:
    async def play(bench: Bench) -> None:
        assert bench.machine.paused != resumes

    scenario(tmp_path, play, state=state, still=True)
