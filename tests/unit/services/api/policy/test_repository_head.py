"""HEAD as git itself has it, and what is no repository."""

import os
import subprocess
from pathlib import Path

import pytest

from services.api.policy.repository_head import repository_head


def git(directory: Path, *words: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=A", "-c", "user.email=a@b.example")
    done = subprocess.run(
        ["git", *identity, *words],
        cwd=directory, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "src"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    git(top, "commit", "-q", "--allow-empty", "-m", "one")
    return top


def head(top: Path) -> str:
    return git(top, "rev-parse", "HEAD")


def test_a_branch_is_followed_as_it_moves(top: Path) -> None:
    assert repository_head(str(top)) == head(top)
    before = head(top)
    git(top, "commit", "-q", "--allow-empty", "-m", "two")
    assert repository_head(str(top)) == head(top) != before


def test_packed_refs_are_read_where_there_is_no_file(top: Path) -> None:
    git(top, "branch", "feature/main")
    git(top, "tag", "-a", "-m", "annotated", "v1")
    git(top, "pack-refs", "--all")
    assert not (top / ".git" / "refs" / "heads" / "main").exists()
    assert repository_head(str(top)) == head(top)


def test_a_detached_head_is_a_commit(top: Path) -> None:
    git(top, "checkout", "-q", "--detach")
    assert repository_head(str(top)) == head(top)


def test_a_linked_worktree_has_a_head_of_its_own(top: Path, tmp_path: Path) -> None:
    git(top, "worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    git(tmp_path / "linked", "commit", "-q", "--allow-empty", "-m", "there")
    assert repository_head(str(tmp_path / "linked")) == head(tmp_path / "linked") != head(top)


def test_a_directory_inside_belongs_to_the_repository_around_it(top: Path) -> None:
    (top / "a" / "b").mkdir(parents=True)
    assert repository_head(str(top / "a" / "b")) == head(top)


def test_a_repository_without_commits_has_no_head(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert repository_head(str(tmp_path)) == ""


@pytest.mark.parametrize(
    "content",
    ["", "ref: refs/../../secret", "ref: refs/heads/main\nmore", "nonsense", "ref: /etc/passwd",
     "ref: refs/heads/\0"],
)  # fmt: skip
def test_a_head_that_makes_no_sense_is_none(top: Path, content: str) -> None:
    (top / ".git" / "HEAD").write_text(content)
    assert repository_head(str(top)) == ""


def test_refs_that_lead_to_each_other_end(top: Path) -> None:
    (top / ".git" / "refs" / "heads" / "main").write_text("ref: refs/heads/main\n")
    assert repository_head(str(top)) == ""


def test_what_is_no_file_is_not_waited_for(top: Path) -> None:
    (top / ".git" / "HEAD").unlink()
    os.mkfifo(top / ".git" / "HEAD")
    assert repository_head(str(top)) == ""


@pytest.mark.parametrize("path", ["/", "/nonexistent", "/proc/self/mem", "/a\0b"])
def test_what_is_no_repository_has_no_head(path: str) -> None:
    assert repository_head(path) == ""


def test_a_file_that_leads_nowhere_is_none(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nonexistent\n")
    assert repository_head(str(tmp_path)) == ""
