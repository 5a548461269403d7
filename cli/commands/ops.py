"""``banger ops``: requests that go on when the command that made them has ended."""

from typing import TYPE_CHECKING

import click

from cli.client.completers import operation_ids
from cli.parsing.lazy_group import AliasGroup
from cli.terminal.formatting import show_time
from cli.terminal.output import Columns, ListEntry, format_options, show_many, show_one
from shared.bus.record import fields_of
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.operation import Operation

COLUMNS: "Columns[Operation]" = {
    "ID": lambda operation: operation.id[:12],
    "VERB": lambda operation: operation.verb,
    "SUBJECT": lambda operation: operation.subject or "-",
    "STATE": lambda operation: operation.state,
    "STAGE": lambda operation: operation.stage or "-",
    "STARTED": lambda operation: show_time(operation.started_at),
}

DETAILS: "Columns[Operation]" = {
    **COLUMNS,
    "ID": lambda operation: operation.id,
    "MESSAGE": lambda operation: operation.message or "-",
    "CODE": lambda operation: operation.code or "-",
    "ENDED": lambda operation: show_time(operation.ended_at) or "-",
}

one_operation = click.argument("operation", metavar="ID", shell_complete=operation_ids)


@click.group(cls=AliasGroup, aliases={"ls": "list"})
def ops() -> None:
    """Manage operations, such as the creation or the start of a VM.

    An operation goes on when the command that started it has ended. ID is the id of an operation,
    or a unique prefix of it.

    \b
    Examples:
      banger ops list
      banger ops cancel 3f2a
    """


@ops.command("list")
@format_options
def list_(output: str, quiet: bool) -> None:
    """List running and recent operations.

    \b
    Examples:
      banger ops list
      banger ops list -o json | jq '.[] | select(.state == "failed")'
    """
    from cli.client.connection import ask

    listing = [_entry(operation) for operation in ask(api.OPS_LIST()).operations]
    show_many(listing, COLUMNS, output, quiet=quiet)


@ops.command()
@one_operation
@format_options
def show(operation: str, output: str, quiet: bool) -> None:
    """Show the details of an operation.

    \b
    Example:
      banger ops show 3f2a -o json
    """
    from cli.client.connection import ask

    shown = ask(api.OPS_SHOW(ref=operation))
    show_one(_entry(shown), DETAILS, output, quiet=quiet)


@ops.command()
@one_operation
@format_options
def cancel(operation: str, output: str, quiet: bool) -> None:
    """Cancel a running operation, and undo what it has done.

    Waits until the operation has ended. Fails if it was too late to cancel it.

    \b
    Example:
      banger ops cancel 3f2a
    """
    from cli.client.connection import ask

    ended = ask(api.OPS_CANCEL(ref=operation))
    show_one(_entry(ended), DETAILS, output, quiet=quiet)


def _entry(operation: "Operation") -> "ListEntry[Operation]":
    """Its name is its subject, the VM or image that it is about."""
    name = operation.subject or operation.id
    return ListEntry(operation.id, name, {**fields_of(operation), "name": name}, operation)
