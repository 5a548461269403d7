"""Groups of commands, with aliases, and with modules that are imported when called."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class AliasGroup(click.Group):
    """Lists commands in the order they were added; ``aliases`` work but are not listed."""

    def __init__(self, *args: Any, aliases: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._aliases = dict(aliases or {})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, self._aliases.get(cmd_name, cmd_name))


class LazyGroup(AliasGroup):
    """A group with a table of name → "module:attribute", whose modules are imported when called.

    An import that a command does not need would delay it.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        target = self._lazy.get(self._aliases.get(cmd_name, cmd_name))
        if target is None:
            self._offer_names()
            return None
        module, attribute = target.split(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{target} is not a command")
        return command

    def _offer_names(self) -> None:
        """Fill ``commands``, where click looks for names that are close to an unknown one."""
        for name in self._lazy:
            self.commands.setdefault(name, click.Command(name))
