"""``banger vm workspace``: a repository in a VM, and what becomes of it there."""

import click

from cli.parsing.lazy_group import LazyGroup

COMMANDS = {
    "prepare": "cli.commands.vm.workspace.place:prepare",
    "sync": "cli.commands.vm.workspace.place:sync",
    "status": "cli.commands.vm.workspace.look:status",
    "diff": "cli.commands.vm.workspace.look:diff",
    "export": "cli.commands.vm.workspace.take_out:export",
    "list": "cli.commands.vm.workspace.look:list_",
}


@click.group(cls=LazyGroup, lazy=COMMANDS, aliases={"ls": "list"})
def workspace() -> None:
    """Place git repositories in a VM, and take out what was done there.

    \b
    Examples:
      banger vm workspace prepare web
      banger vm workspace diff web
      banger vm workspace export web --apply
    """
