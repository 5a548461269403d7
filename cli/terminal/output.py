"""What goes to stdout (data) and to stderr (everything else), and in which form."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, TypeVar

import click

from shared.errors import BangerError, Code

Item = dict[str, Any]
Column = Callable[[Item], str]
Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = ("table", "json", "name")


class Settings:
    """``json_errors``: errors too are JSON, because ``-o json`` was given."""

    def __init__(self, json_errors: bool = False) -> None:
        self.json_errors = json_errors

    @classmethod
    def guess(cls, args: Sequence[str]) -> "Settings":
        """Read ``-o json`` without parsing, so that even a usage error has the form asked for."""
        if list(args[:2]) == ["vm", "ssh"]:
            return cls()  # it has no -o of its own: what follows VM is the guest's
        own = args[: args.index("--")] if "--" in args else args
        pairs = pairwise(own)
        spaced = any(flag in ("-o", "--output") and form == "json" for flag, form in pairs)
        return cls(spaced or any(arg in ("-ojson", "--output=json") for arg in own))


def format_options(command: Command) -> Command:
    """Add ``-o/--output`` and ``-q/--quiet`` as parameters ``output`` and ``quiet``."""
    output = click.option(
        "-o", "--output", type=click.Choice(FORMATS), default="table", help="Form of the output."
    )
    quiet = click.option("-q", "--quiet", is_flag=True, help="Print only ids.")
    return output(quiet(command))


def show_many(
    items: Sequence[Item], columns: Mapping[str, Column], output: str, *, quiet: bool
) -> None:
    """Print a listing: ids, names, a JSON array, or a table."""
    if quiet or output == "name":
        key = "id" if quiet else "name"
        for item in items:
            click.echo(item[key])
    elif output == "json":
        click.echo(json.dumps(items, indent=2))
    else:
        rows = [[column(item) for column in columns.values()] for item in items]
        print_table(list(columns), rows)


def show_one(item: Item, fields: Mapping[str, Column], output: str, *, quiet: bool) -> None:
    """Print one thing: id, name, a JSON object, or one line per field."""
    if quiet or output == "name":
        click.echo(item["id" if quiet else "name"])
    elif output == "json":
        click.echo(json.dumps(item, indent=2))
    else:
        width = max(map(len, fields))
        for label, field in fields.items():
            click.echo(f"{label.lower():<{width}}  {field(item)}".rstrip())


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, err: bool = False) -> None:
    """Aligned columns; the header is bold on a terminal. ``err``: to stderr."""
    print_lines(table_lines(header, rows), err=err)


def print_lines(lines: Sequence[str], *, err: bool = False) -> None:
    """What ``table_lines`` made."""
    bold = colour(sys.stderr if err else sys.stdout)
    for number, line in enumerate(lines):
        click.echo(click.style(line, bold=True) if number == 0 and bold else line, err=err)


def table_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns two spaces apart, the header first."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def colour(stream: Any) -> bool:
    """Whether to write escape sequences: a terminal, and NO_COLOR unset (no-color.org)."""
    return not os.environ.get("NO_COLOR") and bool(stream.isatty())


def note(line: str) -> None:
    """One line for the person, not for the program that reads stdout.

    Nobody may be there to read it; what is under way goes on, and its exit status stays.
    """
    with suppress(OSError):
        click.echo(line, err=True)


def report(error: BangerError, settings: Settings) -> int:
    """Print ``error: …`` and ``hint: …``, or one JSON object; returns the exit status."""
    if settings.json_errors:
        note(json.dumps({"error": error.to_wire()}, default=str))
        return error.exit_status
    label = click.style("error:", fg="red", bold=True) if colour(sys.stderr) else "error:"
    note(f"{label} {' '.join(error.message.split())}")
    if error.hint:
        note(f"hint: {' '.join(error.hint.split())}")
    request = error.details.get("request_id")
    if request and error.code in (Code.INTERNAL, Code.TIMEOUT, Code.UNAVAILABLE):
        note(f"hint: banger daemon logs --request {str(request)[:12]} shows what happened")
    return error.exit_status
