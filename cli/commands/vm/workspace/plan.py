"""What a prepare would do, asked before anything is done, and how it is shown."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from cli.client.operation import run_operation
from cli.terminal.formatting import counted, show_size
from cli.terminal.output import echo, note, print_json
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.plain_text import printable

if TYPE_CHECKING:
    from shared.contract.messages.workspace import WorkspacePlan


def host_path(path: str) -> str:
    """``path`` as a service, which works in another directory, understands it.

    Raises:
        BangerError: ``not_found`` for a path that is none.
    """
    if not os.path.exists(path):  # noqa: PTH110
        raise BangerError(
            Code.NOT_FOUND,
            f"there is no directory {path}",
            hint="a command for the guest comes after --",
        )
    return os.path.abspath(path)  # noqa: PTH100


def ask_plan(path: str, choice: Mapping[str, Any], *, outside: bool) -> "WorkspacePlan":
    """The plan, without its files. Raises what a prepare would raise of the repository."""
    return run_operation(api.WORKSPACE_PLAN(path=path, outside=outside, **choice))


def announce(plan: "WorkspacePlan") -> None:
    """Say what the user should know before it is done."""
    for tool in plan.tools:
        note(f"tools: {tool.name} {tool.version} ({tool.source})")
    for sentence in plan.notices:
        note(sentence)


def show_plan(path: str, choice: Mapping[str, Any], output: str, *, outside: bool) -> None:
    """Print the plan and each file of it: for ``--dry-run``."""
    from cli.terminal.output_file import unnamed_file

    with unnamed_file() as draft:
        request = api.WORKSPACE_PLAN(path=path, outside=outside, output=draft.address, **choice)
        plan = run_operation(request)
        if output == "json":
            print_json(
                {**_fields(plan), "paths": [os.fsdecode(name) for name in names(draft.file)]}
            )
            return
        announce(plan)
        if output == "table":
            for line in summary(plan):
                echo(line)
            echo("")
        for name in names(draft.file):
            click.echo(printable(os.fsdecode(name)) if output == "table" else os.fsencode(name))


def summary(plan: "WorkspacePlan") -> Iterator[str]:
    """A line for each thing that is decided."""
    history = {"full": "all of it", "shallow": counted(plan.commits, "commit"), "empty": "none"}
    at = f" at {plan.commit[:12]}" if plan.commit else ""
    yield f"repository  {plan.host_path}{at}"
    yield f"guest       {plan.guest_path}" + (f" on {plan.branch}" if plan.branch else "")
    yield f"history     {plan.mode}: {history[plan.mode]}"
    yield f"files       {plan.files}, of these {plan.changed} sent ({show_size(plan.bytes)})"
    if plan.untracked:
        yield f"left out    {plan.untracked} untracked (--include-untracked sends them)"
    if plan.submodules:
        yield f"submodules  {', '.join(plan.submodules)}"


def names(file: BinaryIO) -> Iterator[bytes]:
    """The file names of a plan: each ends with a NUL."""
    file.seek(0)
    rest = b""
    while piece := file.read(1 << 16):
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole


def _fields(plan: "WorkspacePlan") -> dict[str, Any]:
    from shared.bus.record import fields_of

    return fields_of(plan)
