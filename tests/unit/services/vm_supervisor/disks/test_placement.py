"""A VM becomes what a saved machine was: all of it or nothing, whenever it is killed."""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.disks.placement import clear_up, complete, replacement
from shared.errors import BangerError, Code
from shared.vm import files
from shared.vm.at_rest import state_at_rest
from shared.vm.saved import read_saved
from tests.unit.services.vm_supervisor.disks.saved_machines import fill, save, words

OLD = {"overlay.ext4": "old", "work.ext4": "old", "workspaces/placed": "old"}
NEW = {"overlay.ext4": "new", "work.ext4": "new", "workspaces/placed": "new"}
MEMORY = {"suspended/device_state": "new", "suspended/memory": "new"}
OLD_MEMORY = {"suspended/device_state": "old", "suspended/memory": "old"}
STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")
"""Audit events of what changes files (docs.python.org, "Audit events table")."""


def place(source: Path, state: Path) -> None:
    with replacement(source, read_saved(source), state) as put_in_place:
        put_in_place()


def vm(state: Path, *, suspended: bool) -> Path:
    fill(state, "old", memory=False)
    if suspended:
        save(state / files.SUSPENDED, "old", disks=False)
    return state


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("memory", [False, True])
def test_a_vm_becomes_what_the_saved_machine_is(
    tmp_path: Path, *, suspended: bool, memory: bool
) -> None:
    state = vm(tmp_path / "vm", suspended=suspended)
    source = save(tmp_path / "source", "new", memory=memory)
    before = words(source)
    place(source, state)
    assert words(state) == NEW | (MEMORY if memory else {})
    assert state_at_rest(state) == ("suspended" if memory else "stopped")
    assert words(source) == before
    if memory:
        assert read_saved(state / files.SUSPENDED).vm_id == read_saved(source).vm_id


def test_nothing_has_happened_without_the_last_step(tmp_path: Path) -> None:
    state = vm(tmp_path / "vm", suspended=True)
    source = save(tmp_path / "source", "new")
    with replacement(source, read_saved(source), state):
        assert state_at_rest(state) == "suspended"
    assert words(state) == OLD | OLD_MEMORY


def test_a_new_vm_begins_as_the_saved_machine(tmp_path: Path) -> None:
    (state := tmp_path / "vm").mkdir()
    place(save(tmp_path / "source", "new"), state)
    assert words(state) == NEW | MEMORY


def test_workspaces_are_kept_where_an_older_version_has_saved_none(tmp_path: Path) -> None:
    state = vm(tmp_path / "vm", suspended=False)
    source = save(tmp_path / "source", "new", memory=False)
    shutil.rmtree(source / files.WORKSPACES)
    place(source, state)
    assert words(state) == NEW | {"workspaces/placed": "old"}


def test_workspaces_that_came_later_are_not_known_after_a_restore(tmp_path: Path) -> None:
    state = vm(tmp_path / "vm", suspended=False)
    source = save(tmp_path / "source", "new", memory=False)
    (source / files.WORKSPACES / "placed").unlink()
    place(source, state)
    assert not list((state / files.WORKSPACES).iterdir())


def test_the_guest_of_a_copy_writes_to_no_disk_of_the_source(tmp_path: Path) -> None:
    (state := tmp_path / "vm").mkdir()
    source = save(tmp_path / "source", "new")
    place(source, state)
    (state / files.OVERLAY).write_text("written since")
    assert (source / files.OVERLAY).read_text() == "new"


def test_a_disk_without_room_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = vm(tmp_path / "vm", suspended=True)
    source = save(tmp_path / "source", "new")
    monkeypatch.setattr("shared.host.files.free_bytes", lambda _: 0)
    with pytest.raises(BangerError) as refused:
        place(source, state)
    assert refused.value.code is Code.NO_SPACE
    assert words(state) == OLD | OLD_MEMORY


def killed_at(step: int, source: Path, state: Path) -> bool:
    """Replace the VM in a process that is killed before its ``step``-th change; False when there
    are not so many."""
    child = os.fork()
    if child == 0:
        left = [step]

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            if event not in STEPS or (event == "open" and not arguments[2] & os.O_ACCMODE):
                return
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        place(source, state)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("memory", [False, True])
def test_a_kill_at_any_step_leaves_the_old_vm_or_the_new_one(
    tmp_path: Path, *, suspended: bool, memory: bool
) -> None:
    source = save(tmp_path / "source", "new", memory=memory)
    old = OLD | (OLD_MEMORY if suspended else {})
    new = NEW | (MEMORY if memory else {})
    seen = []
    for step in range(1, 200):
        state = vm(tmp_path / f"vm-{step}", suspended=suspended)
        was_killed = killed_at(step, source, state)
        claimed = state_at_rest(state)
        clear_up(state)
        assert words(state) in (old, new), f"killed before step {step}"
        assert state_at_rest(state) == claimed
        assert not [path for path in state.iterdir() if path.name.startswith(".")]
        seen.append(words(state))
        if not was_killed:
            break
    assert seen[0] == old
    assert seen[-1] == new
    assert sorted(seen, key=new.__eq__) == seen, "what was done is not undone by a later kill"


def test_there_may_be_nothing_to_complete(tmp_path: Path) -> None:
    state = vm(tmp_path, suspended=True)
    complete(state)
    assert words(state) == OLD | OLD_MEMORY
