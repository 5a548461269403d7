"""Prepares that are cut off, at each step: the next one works, and nothing is half done before it.

The tools of the guest are wrapped: the N-th that is started kills the session in its place, as the
end of the VM does.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.workspaces.jobs.prepare import run
from shared.errors import BangerError
from shared.workers.job import Cancelled, JobContext
from tests.repositories.fingerprint import fingerprint
from tests.repositories.making import commit, git, ordinary, write
from tests.repositories.tracked import files_below, tracked_files
from tests.scripted.local_guest import DASH, LocalGuest, local_guest

TOOLS = "git tar mv cp rm dd mkdir rmdir xargs sync".split()
MOST_STEPS = 60


class Axe:
    """Kills a session of the guest when so many tools have been started."""

    def __init__(self, guest: LocalGuest, directory: Path) -> None:
        self._count, self._at = directory / "count", directory / "at"
        tools = directory / "tools"
        tools.mkdir()
        for name in TOOLS:
            real = shutil.which(name)
            (tools / name).write_text(
                f"#!/bin/sh\necho x >>{self._count}\n"
                f"read -r at <{self._at}\n"
                f'[ "$(/usr/bin/wc -l <{self._count})" != "$at" ] || kill -9 0\n'
                f'exec {real} "$@"\n'
            )
            (tools / name).chmod(0o755)
        guest.machine.environment["PATH"] = f"{tools}:{os.environ['PATH']}"
        self.rest()

    def fall_at(self, number: int) -> None:
        self._count.write_text("")
        self._at.write_text(f"{number}\n")

    def was_in_reach(self, number: int) -> bool:
        """Whether so many tools were started."""
        return self._count.read_text().count("x") >= number

    def rest(self) -> None:
        self.fall_at(-1)


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalGuest]:
    with local_guest(tmp_path, monkeypatch, DASH) as made:
        yield made


@pytest.fixture
def axe(guest: LocalGuest, tmp_path: Path) -> Axe:
    return Axe(guest, tmp_path)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    made = ordinary(tmp_path / "host")
    write(made, "README", "edited\n")
    return made


def prepare(guest: LocalGuest, top: Path) -> bool:
    """Whether it came to its end."""
    try:
        run(guest.request(top), guest.context())
    except BangerError:
        return False
    return True


def test_a_first_prepare_leaves_all_or_nothing(guest: LocalGuest, axe: Axe, top: Path) -> None:
    before = fingerprint(top)
    for step in range(1, MOST_STEPS):
        axe.fall_at(step)
        whole = prepare(guest, top) and not axe.was_in_reach(step)
        if guest.path().exists():
            assert files_below(guest.path()) == tracked_files(top)
            shutil.rmtree(guest.path())
        if whole:
            break
    axe.rest()
    assert prepare(guest, top)
    assert files_below(guest.path()) == tracked_files(top)
    assert [each.name for each in guest.root.iterdir()] == ["repo"]
    assert step > 10
    assert fingerprint(top) == before


def test_an_update_leaves_each_file_old_or_new(guest: LocalGuest, axe: Axe, top: Path) -> None:
    """Each cut-off one finds what the one before has left."""
    assert prepare(guest, top)
    known = set(tracked_files(top).items())
    for step in range(1, MOST_STEPS):
        write(top, "README", f"edit {step}\n")
        write(top, f"new/{step}", "new\n")
        (top / f"new/{step - 1}").unlink(missing_ok=True)
        commit(top)
        write(top, "src/main.py", f"edit {step}\n", 0o755)
        known.update(tracked_files(top).items())
        axe.fall_at(step)
        whole = prepare(guest, top) and not axe.was_in_reach(step)
        assert set(files_below(guest.path()).items()) <= known
        if whole:
            break
    assert step > 15
    axe.rest()
    assert prepare(guest, top)
    there = guest.path()
    assert files_below(there) == tracked_files(top)
    assert git(there, "rev-parse", "HEAD") == git(top, "rev-parse", "HEAD")
    assert git(there, "status", "--porcelain") == b" M src/main.py\n"
    assert git(there, "for-each-ref", "refs/banger/incoming") == b""


@pytest.mark.parametrize("stage", ["read", "overlay", "history", "files"])
def test_a_cancel_at_any_stage(guest: LocalGuest, top: Path, stage: str) -> None:
    def cancelled(name: str, _: str) -> None:
        if name == stage:
            raise Cancelled

    for number in range(2):
        write(top, "README", f"edit {number}\n")
        commit(top)
        write(top, "README", f"edit {number} again\n")
        context = guest.context()
        with pytest.raises(Cancelled):
            run(
                guest.request(top),
                JobContext(context.directory, cancelled, context.vm_state),
            )
        assert number or not guest.path().exists(), "the guest finished what was given up"
        assert prepare(guest, top)
        assert files_below(guest.path()) == tracked_files(top)
        assert [each.name for each in guest.root.iterdir()] == ["repo"]
