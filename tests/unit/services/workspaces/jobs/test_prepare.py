"""Repositories into a guest and up to date there: this machine is the guest."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.workspaces.jobs.prepare import run
from tests.repositories.making import git, ordinary
from tests.repositories.nasty import NASTY
from tests.repositories.tracked import files_below, tracked_files
from tests.scripted.local_guest import BUSYBOX, DASH, LocalGuest, local_guest


@pytest.fixture(params=[BUSYBOX, DASH], ids=["busybox", "dash"])
def guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[LocalGuest]:
    with local_guest(tmp_path, monkeypatch, request.param) as made:
        yield made


def assert_same(host: Path, guest: Path) -> None:
    assert files_below(guest) == tracked_files(host)


def prepared_tree(top: Path) -> bytes:
    return git(top, "rev-parse", "refs/banger/prepared^{tree}")


def test_clean(guest: LocalGuest, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "host")
    done = run(guest.request(top), guest.context())
    there = guest.path()
    assert_same(top, there)
    assert git(there, "status", "--porcelain") == b""
    assert git(there, "rev-parse", "HEAD", "refs/banger/base", "refs/banger/prepared") == (
        git(top, "rev-parse", "HEAD", "HEAD", "HEAD")
    )
    assert git(there, "symbolic-ref", "HEAD") == b"refs/heads/main\n"
    git(there, "fsck", "--strict")
    assert done.files == 3
    assert [each.name for each in guest.root.iterdir()] == ["repo"]


@pytest.mark.parametrize("make", [each for _, each in NASTY], ids=[name for name, _ in NASTY])
def test_nasty(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "g").mkdir()
    top = make(tmp_path / "host")
    with local_guest(tmp_path / "g", monkeypatch) as guest:
        run(guest.request(top), guest.context())
        there = guest.path()
        assert_same(top, there)
        git(there, "fsck")
        git(there, "status")
        before = guest.path().stat().st_mtime_ns
        again = run(guest.request(top), guest.context())
        assert (again.files, again.removed) == (0, 0)
        assert guest.path().stat().st_mtime_ns == before
