"""Which directories are repositories that can go into a guest, and what is said of the others."""

import os
from pathlib import Path

import pytest

from services.workspaces.repository.discovery import Repository, discover
from shared.errors import BangerError, Code
from tests.repositories import empty, git, ordinary, write


def refusal(path: Path, limit_seconds: float = 30) -> BangerError:
    with pytest.raises(BangerError) as raised:
        discover(path, limit_seconds=limit_seconds)
    return raised.value


def test_a_directory_in_a_repository_leads_to_its_top_level(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    expected = Repository(top, top / ".git", top / ".git", "sha1")
    assert discover(top) == expected
    assert discover(top / "src") == expected


def test_a_name_with_a_line_break_at_its_end_stays_whole(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "a\n\nb\n")
    assert discover(top).top == top


def test_a_linked_worktree_shares_what_is_common(tmp_path: Path) -> None:
    main = ordinary(tmp_path / "main")
    git(main, "worktree", "add", "-q", str(tmp_path / "linked"))
    found = discover(tmp_path / "linked")
    assert found.top == tmp_path / "linked"
    assert found.git_directory == main / ".git/worktrees/linked"
    assert found.common_directory == main / ".git"


def test_a_submodule_is_a_repository_although_its_git_directory_is_elsewhere(
    tmp_path: Path,
) -> None:
    library = ordinary(tmp_path / "library")
    top = ordinary(tmp_path / "top")
    git(top, "submodule", "-q", "add", str(library), "lib")
    assert discover(top / "lib").git_directory == top / ".git/modules/lib"


def test_a_path_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert refusal(tmp_path / "missing").code is Code.NOT_FOUND


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    error = refusal(top / "README")
    assert error.code is Code.INVALID
    assert "is not a directory" in error.message


def test_a_directory_outside_any_repository_is_refused(tmp_path: Path) -> None:
    assert "is not in a git repository" in refusal(tmp_path).message


def test_a_bare_repository_and_a_git_directory_are_refused(tmp_path: Path) -> None:
    assert "bare" in refusal(empty(tmp_path / "bare.git", "--bare")).message
    top = ordinary(tmp_path / "repository")
    assert "inside a git directory" in refusal(top / ".git/refs").message


@pytest.mark.parametrize("where", ["/", "..", "../other", "src"])
def test_a_work_tree_that_is_elsewhere_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "other").mkdir()
    top = ordinary(tmp_path / "repository")
    git(top, "config", "core.worktree", str((top / where).resolve()))
    assert "elsewhere" in refusal(top).message
    assert "elsewhere" in refusal(top / "src").message


def test_a_configuration_that_git_cannot_read_is_told(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    (top / ".git/config").write_text("[core\n")
    error = refusal(top)
    assert error.code is Code.INVALID
    assert "bad config" in error.message


def test_a_configuration_that_waits_for_ever_has_a_limit(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    os.mkfifo(tmp_path / "fifo")
    git(top, "config", "include.path", str(tmp_path / "fifo"), check=False)
    write(top, ".git/config", f"[include]\n\tpath = {tmp_path / 'fifo'}\n")
    assert refusal(top, limit_seconds=0.3).code is Code.TIMEOUT


def test_nothing_of_the_environment_leads_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ordinary(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    assert discover(ordinary(tmp_path / "one")).top == tmp_path / "one"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_repository_of_another_user_is_refused_with_gits_remedy(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    for path in (top, top / ".git"):
        os.chown(path, 12345, 12345)
    error = refusal(top)
    assert error.code is Code.DENIED
    assert "belongs to another user" in error.message
    assert f"git config --global --add safe.directory {top}" in error.hint
