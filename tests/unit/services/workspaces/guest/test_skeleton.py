"""The git directory of a guest, as git reads it."""

from pathlib import Path

import pytest

from services.workspaces.guest.skeleton import (
    GuestGit,
    git_directory,
    patterns,
    raw_git_directory,
    section_lines,
    settings_of,
)
from services.workspaces.guest.tar_stream import ArchiveMember
from services.workspaces.repository.configuration import Configuration
from tests.repositories.making import commit, empty, git

ODD = 'a "quoted" \\ value; with # signs\n and a line break '


def unpack(members: list[ArchiveMember], directory: Path) -> Path:
    for member in members:
        path = directory / member.path.decode()
        if member.data is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(member.data)
    return directory


def test_git_takes_it_for_a_repository(tmp_path: Path) -> None:
    made = GuestGit(
        head="", ref="refs/heads/main", settings={"user.name": ODD}, origin="https://h/p;q#r"
    )
    top = unpack(list(git_directory(made)), tmp_path)
    assert git(top, "symbolic-ref", "HEAD") == b"refs/heads/main\n"
    assert git(top, "config", "user.name").decode() == ODD + "\n"
    assert git(top, "remote", "get-url", "origin") == b"https://h/p;q#r\n"
    git(top, "fsck")


def test_refs_are_there(tmp_path: Path) -> None:
    head = commit(empty(tmp_path / "host"))
    made = GuestGit(head, "refs/heads/made", {"refs/tags/v1": head}, (head,))
    top = unpack(list(git_directory(made)), tmp_path / "guest")
    found = (top / ".git/packed-refs").read_text().splitlines()
    wanted = ("banger/base", "banger/prepared", "heads/made", "tags/v1")
    assert found == [f"{head} refs/{name}" for name in wanted]
    assert (top / ".git/shallow").read_text() == f"{head}\n"


def test_a_detached_head_is_a_commit(tmp_path: Path) -> None:
    top = unpack(list(git_directory(GuestGit("a" * 40, ""))), tmp_path)
    assert (top / ".git/HEAD").read_text() == "a" * 40 + "\n"


@pytest.mark.parametrize("name", ["sha1", "sha256"])
def test_the_object_format_is_the_hosts(tmp_path: Path, name: str) -> None:
    top = unpack(list(git_directory(GuestGit("", "refs/heads/m", object_format=name))), tmp_path)
    assert git(top, "rev-parse", "--show-object-format").decode().strip() == name
    raw = unpack(list(raw_git_directory(b"raw/", name)), tmp_path) / "raw"
    shown = git(raw, "--git-dir", str(raw), "rev-parse", "--show-object-format")
    assert shown.decode().strip() == name


def test_settings_that_decide_how_files_are_read_go_along() -> None:
    names = ("core.autocrlf", "core.hookspath", "core.sparsecheckout", "filter.x.smudge")
    configuration = Configuration(tuple(("local", name, "true") for name in names))
    assert settings_of(configuration, sparse=False) == {"core.autocrlf": "true"}
    assert list(settings_of(configuration, sparse=True)) == ["core.autocrlf", "core.sparsecheckout"]


def test_patterns_are_joined(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a\nb")
    (tmp_path / "two").write_text("c\n")
    assert patterns(tmp_path / "one", tmp_path / "none", tmp_path / "two") == b"a\nb\nc\n"


def test_sections() -> None:
    assert section_lines({"user.name": "A", "core.x": ""}) == (
        '[user]\n\tname = "A"\n[core]\n\tx = ""\n'
    )
