"""Options of commands that run something in a guest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.parsing.param_types import VARIABLE, EnvironmentVariable
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from collections.abc import Iterable

force_tty = click.option(
    "-t",
    "--tty",
    is_flag=True,
    help="Allocate a terminal even if standard input or output is not one.",
)
interactive = click.option(
    "-i",
    "--interactive",
    is_flag=True,
    expose_value=False,
    help="Accepted as in docker's -it; standard input is connected in any case.",
)
as_user = click.option(
    "-u", "--user", metavar="USER", default="", help="Run as this user of the guest, not as root."
)
no_stdin = click.option(
    "-n", "--no-stdin", is_flag=True, help="Read from /dev/null instead of standard input."
)
env = click.option(
    "-e",
    "--env",
    type=EnvironmentVariable(),
    multiple=True,
    help="Set a variable: NAME=VALUE, or NAME for the value it has here, which keeps that out of "
    "the output of ps(1). Repeatable.",
)
env_file = click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=str),
    multiple=True,
    help="Read variables from a file with NAME=VALUE or NAME on each line. Repeatable.",
)


def variables(files: Iterable[str], given: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """The command's variables: those of the files, then those given, which count more.

    A name without a value takes the one it has here, and is left out where it has none.

    Raises:
        BangerError: ``not_found`` or ``usage`` for a file that cannot be read or understood.
    """
    pairs = [pair for path in files for pair in _read(path)]
    chosen: dict[str, str] = {}
    for name, value in [*pairs, *given]:
        known = os.environ.get(name) if value is None else value
        if known is not None:
            chosen[name] = known
    return chosen


def _read(path: str) -> Iterable[tuple[str, str | None]]:
    """Lines as docker has them: no quotes, no expansion; empty ones and comments are left out."""
    try:
        lines = os.fsdecode(Path(path).read_bytes()).split("\n")
    except OSError as error:
        code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.USAGE
        raise BangerError(code, f"cannot read {path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        text = line.removesuffix("\r").lstrip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not VARIABLE.fullmatch(name) or "\0" in value:
            raise BangerError(Code.USAGE, f"{path}:{number}: not NAME=VALUE or NAME")
        yield name, value if separator else None
