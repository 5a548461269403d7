"""What a plan says of a repository: what a prepare would send, as it would send it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.workspaces.jobs.plan import run
from shared.contract.messages.workspace import WorkspacePlan, WorkspacePlanRequest
from shared.errors import BangerError, Code
from shared.workers.job import JobContext
from tests.repositories import (
    HOSTILE,
    commit,
    fingerprint,
    git,
    nasty,
    ordinary,
    tracked_files,
    write,
)
from tests.repositories.hostile import REFUSED, marker

Make = Callable[[Path], Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def plan(tmp_path: Path, request: WorkspacePlanRequest) -> WorkspacePlan:
    directory = tmp_path / "job"
    directory.mkdir()
    return run(request, JobContext(directory, lambda stage, message: None))


def asked(top: Path, **choices: object) -> WorkspacePlanRequest:
    return WorkspacePlanRequest(path=str(top), **choices)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        *(nasty.odd_names, nasty.conflict, nasty.sparse_cone, nasty.submodule_nested),
        *(nasty.untracked_files, nasty.deleted, nasty.no_commits),
    ],
)
@pytest.mark.parametrize("untracked", [False, True])
def test_it_lists_the_files_that_go_in_and_touches_nothing(
    make: Make, untracked: bool, tmp_path: Path
) -> None:
    top = make(tmp_path / "made")
    before = fingerprint(tmp_path / "made")
    output = tmp_path / "list"
    found = plan(tmp_path, asked(top, include_untracked=untracked, output=str(output)))
    assert fingerprint(tmp_path / "made") == before
    listed = output.read_bytes().split(b"\0")[:-1]
    assert listed == sorted(tracked_files(top, untracked=untracked))
    assert found.files == len(listed)


@pytest.mark.parametrize(("name", "make"), HOSTILE)
def test_nothing_of_a_hostile_repository_runs(name: str, make: Make, tmp_path: Path) -> None:
    top = make(tmp_path / "made")
    marker(tmp_path / "made").unlink(missing_ok=True)
    before = fingerprint(tmp_path / "made")
    if name in REFUSED:
        with pytest.raises(BangerError, match=r"lacks objects|path that git forbids"):
            plan(tmp_path, asked(top))
    else:
        plan(tmp_path, asked(top, full=True))
    assert not marker(tmp_path / "made").exists()
    assert fingerprint(tmp_path / "made") == before


def test_it_counts_what_differs(tmp_path: Path) -> None:
    top = nasty.lfs_edited(tmp_path / "made")
    found = plan(tmp_path, asked(top))
    assert (found.files, found.changed, found.bytes) == (3, 1, 12 + 600)
    assert (found.mode, found.commits, found.branch) == ("shallow", 1, "main")
    assert found.commit == git(top, "rev-parse", "HEAD").decode().strip()
    assert found.host_path == str(top)


def test_a_repository_without_commits_has_an_empty_history(tmp_path: Path) -> None:
    found = plan(tmp_path, asked(nasty.no_commits_but_files(tmp_path / "made"), branch="b"))
    assert (found.mode, found.commit, found.commits, found.files) == ("empty", "", 0, 1)
    assert found.branch == "b"
    assert found.untracked == 1


def test_the_full_history_is_counted(tmp_path: Path) -> None:
    top = nasty.long_history(tmp_path / "made")
    found = plan(tmp_path, asked(top, full=True))
    assert (found.mode, found.commits) == ("full", 15)


def test_submodules_are_named(tmp_path: Path) -> None:
    found = plan(tmp_path, asked(nasty.submodule_nested(tmp_path / "made")))
    assert found.submodules == ["middle", "middle/inner"]


def test_pinned_tools_are_planned_and_need_the_outside(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    write(top, ".python-version", "3.12\n")
    write(top, ".nvmrc", "22\n")
    git(top, "add", ".python-version")
    commit(top)
    found = plan(tmp_path, asked(top))
    assert [wish.name for wish in found.tools] == ["node", "python"]
    assert "--nat" in found.notices[-1]


@pytest.mark.parametrize("choice", [{"bootstrap": False}, {"outside": True}])
def test_there_is_no_notice_where_nothing_is_amiss(choice: dict[str, bool], tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    write(top, ".python-version", "3.12\n")
    commit(top)
    assert plan(tmp_path, asked(top, **choice)).notices == []


def test_a_list_that_cannot_be_written_is_denied(tmp_path: Path) -> None:
    request = asked(ordinary(tmp_path / "made"), output=str(tmp_path / "missing/list"))
    with pytest.raises(BangerError) as raised:
        plan(tmp_path, request)
    assert raised.value.code is Code.DENIED


@pytest.mark.parametrize("choice", [{"guest_path": "repo"}, {"branch": "main"}, {"start": "HEAD"}])
def test_it_refuses_what_a_prepare_would(choice: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BangerError):
        plan(tmp_path, asked(ordinary(tmp_path / "made"), **choice))
