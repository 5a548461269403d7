"""``banger ops``: long verbs, which go on when the command that asked for them is gone."""

import click

from cli.commands.completion import operation_ids
from cli.parsing.lazy_group import LazyGroup
from cli.terminal.formatting import show_time
from cli.terminal.output import Item, format_options, show_many, show_one

COLUMNS = {
    "ID": lambda operation: str(operation["id"])[:12],
    "VERB": lambda operation: str(operation["verb"]),
    "SUBJECT": lambda operation: str(operation["subject"]) or "-",
    "STATE": lambda operation: str(operation["state"]),
    "STAGE": lambda operation: str(operation["stage"]) or "-",
    "STARTED": lambda operation: show_time(operation["started_at"]),
}

DETAILS = {
    **COLUMNS,
    "ID": lambda operation: str(operation["id"]),
    "MESSAGE": lambda operation: str(operation["message"]) or "-",
    "CODE": lambda operation: str(operation["code"]) or "-",
    "ENDED": lambda operation: show_time(operation["ended_at"]) or "-",
}

CANCEL_SECONDS = 60.0

one_operation = click.argument("operation", metavar="ID", shell_complete=operation_ids)


COMMANDS = {
    "list": "cli.commands.ops:list_",
    "show": "cli.commands.ops:show",
    "cancel": "cli.commands.ops:cancel",
}


@click.group(cls=LazyGroup, lazy=COMMANDS, aliases={"ls": "list"})
def ops() -> None:
    """Operations: what creates, starts and restarts VMs, and what became of it.

    ID is an operation's id, or the beginning of it when only one begins so.

    \b
    Examples:
      banger ops list
      banger ops cancel 3f2a
    """


@click.command("list")
@format_options
def list_(output: str, quiet: bool) -> None:
    """List the operations that run, and the latest that ended.

    \b
    Examples:
      banger ops list
      banger ops list -o json | jq '.[] | select(.state == "failed")'
    """
    from cli.client.connection import ask

    operations = [_named(each) for each in ask("api", "ops.list")["operations"]]
    show_many(operations, COLUMNS, output, quiet=quiet)


@click.command()
@one_operation
@format_options
def show(operation: str, output: str, quiet: bool) -> None:
    """Show one operation.

    \b
    Example:
      banger ops show 3f2a -o json
    """
    from cli.client.connection import ask

    shown = _named(ask("api", "ops.show", {"ref": operation}))
    show_one(shown, DETAILS, output, quiet=quiet)


@click.command()
@one_operation
@format_options
def cancel(operation: str, output: str, quiet: bool) -> None:
    """End an operation; what it made so far is undone. One that has ended stays as it is.

    \b
    Example:
      banger ops cancel 3f2a
    """
    from cli.client.connection import connect

    with connect() as client:
        ended = client.call("api", "ops.cancel", {"ref": operation}, timeout=CANCEL_SECONDS)
    show_one(_named(ended), DETAILS, output, quiet=quiet)


def _named(operation: Item) -> Item:
    """``-o name`` prints whose operation it is."""
    return {**operation, "name": operation["subject"] or operation["id"]}
