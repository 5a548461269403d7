"""``banger image delete`` and ``banger image prune``."""

import sys
from typing import TYPE_CHECKING

import click

from cli.client.batch import ask_exactly, print_outcomes
from cli.client.completers import image_names
from cli.client.operation import run_operation
from cli.terminal.formatting import counted, show_size
from cli.terminal.output import (
    Columns,
    Settings,
    echo,
    format_options,
    note,
    output_format,
    print_json,
    print_table,
)
from shared.bus.record import fields_of
from shared.contract.verbs.api import IMAGE_DELETE, IMAGE_PRUNE
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.messages.image_work import Pruned, PrunedItem

COLUMNS: "Columns[PrunedItem]" = {
    "KIND": lambda item: item.kind,
    "NAME": lambda item: item.name,
    "SIZE": lambda item: show_size(item.real_bytes),
}


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, shell_complete=image_names)
@format_options
@click.pass_obj
def delete(settings: Settings, images: tuple[str, ...], output: str, quiet: bool) -> int:
    """Delete images, each with all of its names.

    An image that a VM or another image uses is not deleted.

    \b
    Example:
      banger image delete debian-bookworm
    """
    outcomes = ask_exactly(images, lambda ref: IMAGE_DELETE(ref=ref))
    return print_outcomes(outcomes, settings, output, quiet=quiet)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
@click.option("-f", "--force", is_flag=True, help="Do not ask for confirmation.")
@output_format
def prune(dry_run: bool, force: bool, output: str) -> int:
    """Delete downloads, cached steps of builds, and images that nothing needs.

    An image is needed if it has a name, if a VM uses it, or if another image was built on it.
    Lists what is found first and asks for confirmation.

    \b
    Examples:
      banger image prune --dry-run
      banger image prune -f
    """
    if dry_run or not force:
        found = run_operation(IMAGE_PRUNE(dry_run=True))
        if dry_run or not found.pruned:
            _print(found, output)
            return 0
        rows = [[of(item) for of in COLUMNS.values()] for item in found.pruned]
        print_table(list(COLUMNS), rows, err=True)
        if not _agreed(found):
            note("Nothing was deleted.")
            return 1
    _print(run_operation(IMAGE_PRUNE(dry_run=False)), output)
    return 0


def _print(done: "Pruned", output: str) -> None:
    if output == "json":
        print_json(fields_of(done))
        return
    if output == "name":
        for item in done.pruned:
            echo(item.name)
    elif done.pruned:
        print_table(list(COLUMNS), [[of(item) for of in COLUMNS.values()] for item in done.pruned])
    note(_sum(done))


def _sum(done: "Pruned") -> str:
    things = counted(len(done.pruned) + done.more, "thing")
    return f"{things}, {show_size(done.real_bytes)}" if done.pruned else "Nothing to prune."


def _agreed(found: "Pruned") -> bool:
    if not sys.stdin.isatty():
        raise BangerError(
            Code.USAGE,
            "cannot ask for confirmation: standard input is not a terminal",
            hint="delete without confirmation: banger image prune -f",
        )
    return bool(click.confirm(f"Delete {_sum(found)}?", default=False, err=True))
