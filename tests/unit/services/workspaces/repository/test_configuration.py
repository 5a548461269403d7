"""What a private git directory takes from the configuration, and what it does not."""

from pathlib import Path

import pytest

from services.workspaces.repository.configuration import (
    config_text,
    private_settings,
    read_configuration,
)
from services.workspaces.repository.discovery import Repository, discover
from tests.repositories import git, ordinary


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "home").mkdir()
    return discover(ordinary(tmp_path / "repository"))


def test_the_last_value_wins_and_scopes_can_be_told_apart(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "home/.gitconfig").write_text("[user]\n\tname = Global\n[core]\n\tautocrlf\n")
    git(repository.top, "config", "user.name", "Local\nName")
    found = read_configuration(repository)
    assert found.get("user.name") == "Local\nName"
    assert found.get("user.name", ("global",)) == "Global"
    assert found.get("core.autocrlf") == "true"
    assert found.flag("core.autocrlf", False)
    assert found.get("user.nothing") is None


def test_nothing_that_runs_a_program_is_taken(repository: Repository) -> None:
    for name in (
        "core.fsmonitor",
        "core.hooksPath",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "filter.x.clean",
        "diff.x.command",
        "diff.external",
        "merge.x.driver",
        "remote.origin.url",
        "remote.origin.promisor",
        "alias.diff-files",
        "credential.helper",
        "gpg.program",
        "include.path",
    ):
        git(repository.top, "config", name, "evil")
    taken = private_settings(read_configuration(repository), repository)
    assert "evil" not in config_text(taken)


def test_settings_of_the_work_tree_are_taken(repository: Repository) -> None:
    git(repository.top, "config", "core.filemode", "false")
    git(repository.top, "config", "core.eol", "crlf")
    taken = private_settings(read_configuration(repository), repository)
    assert (taken["core.filemode"], taken["core.eol"]) == ("false", "crlf")


def test_files_of_patterns_are_those_that_git_would_read(
    repository: Repository, tmp_path: Path
) -> None:
    default = tmp_path / "home/.config/git/ignore"
    default.parent.mkdir(parents=True)
    default.write_text("*.log\n")
    (tmp_path / "home/mine").write_text("*.txt\n")
    assert private_settings(read_configuration(repository), repository)["core.excludesfile"] == str(
        default
    )
    git(repository.top, "config", "core.excludesFile", "~/mine")
    assert private_settings(read_configuration(repository), repository)["core.excludesfile"] == str(
        tmp_path / "home/mine"
    )
    git(repository.top, "config", "core.excludesFile", "~nobody-of-that-name/mine")
    assert "core.excludesfile" not in private_settings(read_configuration(repository), repository)


def test_text_of_a_configuration_is_read_back(tmp_path: Path) -> None:
    value = ' a "b" \\c\nd;e#f '
    (tmp_path / "config").write_text(config_text({"core.excludesfile": value}))
    found = git(tmp_path, "config", "--file", "config", "-z", "--get", "core.excludesfile")
    assert found == value.encode() + b"\0"
