"""What is chosen of a prepare: only what was given."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from cli.commands.vm.options.workspace_options import (
    FIELDS,
    NAMES,
    options_of_run,
    workspace_options,
)
from shared.contract.messages.workspace import WorkspaceChoice


def chosen(*args: str) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    @click.command()
    @workspace_options
    def command(choice: dict[str, Any]) -> None:
        seen.append(choice)

    done = CliRunner().invoke(command, list(args), standalone_mode=False)
    if done.exception:
        raise done.exception
    return seen[0]


def test_nothing_given_is_nothing_chosen() -> None:
    assert chosen() == {}


@pytest.mark.parametrize(
    ("args", "choice"),
    [
        (["--guest-path", "/a"], {"guest_path": "/a"}),
        (["--branch", "b", "--from", "c"], {"branch": "b", "start": "c"}),
        (["--branch", "b", "--branch-from", "c"], {"branch": "b", "start": "c"}),
        (["--include-untracked"], {"include_untracked": True}),
        (["--full"], {"full": True}),
        (["--no-bootstrap"], {"bootstrap": False}),
    ],
)
def test_what_is_given_is_chosen(args: list[str], choice: dict[str, Any]) -> None:
    assert chosen(*args) == choice


def test_a_start_needs_its_branch() -> None:
    with pytest.raises(click.UsageError, match="--from needs --branch"):
        chosen("--from", "main")


def test_every_field_of_the_choice_has_an_option() -> None:
    assert set(WorkspaceChoice.__struct_fields__) == {*FIELDS, "path"} == {*NAMES, "path"}


def test_a_run_says_where_its_branch_begins_without_from() -> None:
    @click.command()
    @options_of_run
    def command(choice: dict[str, Any]) -> None:
        assert choice == {"branch": "b", "start": "c"}

    words = ["--branch", "b", "--branch-from", "c"]
    assert not CliRunner().invoke(command, words, standalone_mode=False).exception
    assert CliRunner().invoke(command, ["--from", "c"]).exit_code == 2
