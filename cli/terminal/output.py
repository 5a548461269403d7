"""What goes to stdout (data) and to stderr (everything else), and in which form.

Texts may come from a guest or from another process. Whatever is written here is one line per cell,
note or error, and a terminal only prints it (``printable``); JSON has every other character
escaped.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from shared.bus.record import fields_of
from shared.errors import BangerError, Code
from shared.plain_text import printable

if TYPE_CHECKING:
    from shared.contract.reference import Named

    N = TypeVar("N", bound=Named)

T = TypeVar("T")
Columns = Mapping[str, Callable[[T], str]]
"""Heading → what stands below it."""
Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = ("table", "json", "name")


class Settings:
    """``json_errors``: errors are printed as JSON too, because of ``-o json``."""

    def __init__(self, json_errors: bool = False) -> None:
        self.json_errors = json_errors

    @classmethod
    def guess(cls, args: Sequence[str]) -> "Settings":
        """Read ``-o json`` without parsing, so that even a usage error is printed as JSON."""
        if list(args[:2]) == ["vm", "ssh"]:
            return cls()  # it has no -o: everything after VM belongs to the guest's command
        own = args[: args.index("--")] if "--" in args else args
        pairs = pairwise(own)
        spaced = any(flag in ("-o", "--output") and form == "json" for flag, form in pairs)
        return cls(spaced or any(arg in ("-ojson", "--output=json") for arg in own))


output_format = click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table", help="Output format."
)


def format_options(command: Command) -> Command:
    """Add ``-o/--output`` and ``-q/--quiet`` as parameters ``output`` and ``quiet``."""
    quiet = click.option("-q", "--quiet", is_flag=True, help="Print only ids.")
    return output_format(quiet(command))


class ListEntry(Generic[T]):
    """One thing that a command prints: its id, its name, its JSON, or columns made of ``of``."""

    __slots__ = ("id", "json", "name", "of")

    def __init__(self, id_: str, name: str, json: Mapping[str, Any], of: T) -> None:
        self.id = id_
        self.name = name
        self.json = json
        self.of = of


def entry(result: "N") -> "ListEntry[N]":
    """A result that is printed with its own fields, all of them."""
    return ListEntry(result.id, result.name, fields_of(result), result)


def show_many(
    listing: Sequence[ListEntry[T]], columns: Columns[T], output: str, *, quiet: bool
) -> None:
    """Print a listing: ids, names, a JSON array, or a table."""
    if quiet or output == "name":
        for each in listing:
            echo(each.id if quiet else each.name)
    elif output == "json":
        print_json([each.json for each in listing])
    else:
        rows = [[column(each.of) for column in columns.values()] for each in listing]
        print_table(list(columns), rows)


def show_one(shown: ListEntry[T], fields: Columns[T], output: str, *, quiet: bool) -> None:
    """Print one thing: id, name, a JSON object, or one line per field."""
    if quiet or output == "name":
        echo(shown.id if quiet else shown.name)
    elif output == "json":
        print_json(shown.json)
    else:
        width = max(map(len, fields))
        for label, field in fields.items():
            echo(f"{label.lower():<{width}}  {field(shown.of)}".rstrip())


def echo(line: str) -> None:
    """Print one line of data."""
    click.echo(printable(line))


def print_json(value: Any) -> None:
    """One value to stdout, indented."""
    import json  # 2 ms, and a table does without it

    click.echo(json.dumps(value, indent=2))


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
    table = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def colour(stream: Any) -> bool:
    """Whether to write escape sequences: a terminal, and NO_COLOR unset (no-color.org)."""
    return not os.environ.get("NO_COLOR") and bool(stream.isatty())


def note(line: str) -> None:
    """Print one line to stderr: for people, not for the program that reads stdout.

    A stderr that is closed or full does not end the command.
    """
    with suppress(OSError):
        click.echo(printable(line), err=True)


def report(error: BangerError, settings: Settings) -> int:
    """Print ``error: …`` and ``hint: …``, or one JSON object; returns the exit status."""
    if settings.json_errors:
        import json

        note(json.dumps({"error": error.to_wire()}, default=str))
        return error.exit_status
    label = click.style("error:", fg="red", bold=True) if colour(sys.stderr) else "error:"
    with suppress(OSError):
        click.echo(f"{label} {printable(' '.join(error.message.split()))}", err=True)
    if error.hint:
        note(f"hint: {' '.join(error.hint.split())}")
    request = error.details.get("request_id")
    if request and error.code in (Code.INTERNAL, Code.TIMEOUT, Code.UNAVAILABLE):
        note(f"hint: see what happened: banger daemon logs --request {str(request)[:12]}")
    return error.exit_status
