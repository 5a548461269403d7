"""Groups of commands: order, short names, and imports when they are called."""

import sys

import click
import pytest

from cli.parsing.lazy_group import AliasGroup, LazyGroup


def group(target: str = "cli.commands.version:version") -> LazyGroup:
    return LazyGroup("g", lazy={"version": target, "b": target}, aliases={"v": "version"})


def found(name: str, group: click.Group) -> click.Command | None:
    return group.get_command(click.Context(group), name)


def test_commands_are_listed_as_written_and_without_short_names() -> None:
    assert group().list_commands(click.Context(group())) == ["version", "b"]


@pytest.mark.parametrize("name", ["version", "v"])
def test_a_command_is_imported_when_it_is_called(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delitem(sys.modules, "cli.commands.version", raising=False)
    made = group()
    assert "cli.commands.version" not in sys.modules
    command = found(name, made)
    assert command
    assert command.name == "version"


def test_a_name_that_nobody_has_offers_the_nearest() -> None:
    with pytest.raises(click.UsageError) as raised:
        group().main(["versoin"], standalone_mode=False)
    assert "Did you mean 'version'" in raised.value.format_message()


def test_what_is_no_command_is_a_bug() -> None:
    with pytest.raises(TypeError, match="is not a command"):
        found("version", group("cli.commands.version:__name__"))


def test_a_plain_group_has_short_names_too() -> None:
    plain = AliasGroup("p", aliases={"ls": "list"})
    plain.add_command(click.Command("list"))
    plain.add_command(click.Command("add"))
    listed = found("ls", plain)
    assert listed
    assert listed.name == "list"
    assert plain.list_commands(click.Context(plain)) == ["list", "add"]
