"""Every command of ``banger``: where it is found, what it says of itself, how it is called."""

import click
import pytest

from cli.app import banger
from scripts.cli_docs import PAGE, page
from tests.unit.cli.conftest import Cli


def commands(
    command: click.Command = banger, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found += commands(child, (*path, name))
    return found


@pytest.mark.parametrize(("path", "command"), commands(), ids=lambda v: str(v)[:40])
def test_every_command_explains_itself_with_an_example(
    path: tuple[str, ...], command: click.Command
) -> None:
    text = command.help or ""
    assert "Example" in text
    assert f"banger {' '.join(path)}".rstrip() in text.partition("Example")[2]
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help


def test_the_page_about_the_commands_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python scripts/cli_docs.py"


@pytest.mark.parametrize(
    "words",
    [
        ["vm", "ls"],
        ["vm", "snapshot", "ls"],
        ["vm", "snapshot", "rm"],
        ["image", "ls"],
        ["image", "rm"],
        ["kernel", "rm"],
        ["ops", "ls"],
    ],
)
def test_the_short_words_are_understood(cli: Cli, words: list[str]) -> None:
    assert cli(*words, "--help").status == 0


def test_an_unknown_command_names_the_nearest(cli: Cli) -> None:
    ran = cli("vm", "lits")
    assert ran.status == 2
    assert ran.err.splitlines() == [
        "error: No such command 'lits'. Did you mean 'list'?",
        "hint: see: banger vm --help",
    ]
