"""Repositories into a guest and up to date there: this machine is the guest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.workspaces.jobs.prepare import run
from tests.repositories.making import git, ordinary
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
