"""``banger system``: what banger has on this machine."""

from typing import TYPE_CHECKING

import click

from cli.parsing.lazy_group import AliasGroup
from cli.terminal.formatting import show_size
from cli.terminal.output import Columns, echo, note, output_format, print_json, print_table
from shared.bus.record import fields_of
from shared.contract.verbs.api import SYSTEM_USAGE

if TYPE_CHECKING:
    from shared.contract.messages.image_work import SpaceUsed

COLUMNS: "Columns[SpaceUsed]" = {
    "KIND": lambda used: used.kind,
    "COUNT": lambda used: str(used.count),
    "SIZE": lambda used: show_size(used.real_bytes),
    "RECLAIMABLE": lambda used: show_size(used.reclaimable),
}


@click.group(cls=AliasGroup)
def system() -> None:
    """Look at what banger has on this machine.

    \b
    Example:
      banger system df
    """


@system.command()
@output_format
def df(output: str) -> None:
    """Show what images, kernels, downloads, VMs and templates occupy on the disk.

    What a VM's disks have not written yet does not count. RECLAIMABLE is what banger image prune
    and banger template prune --all would free. The row pool counts VMs of the warm pool, which are
    ready to be handed out.

    \b
    Examples:
      banger system df
      banger system df -o json | jq .free_bytes
    """
    from cli.client.connection import ask

    usage = ask(SYSTEM_USAGE())
    if output == "json":
        print_json(fields_of(usage))
    elif output == "name":
        for used in usage.used:
            echo(used.kind)
    else:
        print_table(list(COLUMNS), [[of(each) for of in COLUMNS.values()] for each in usage.used])
        note(f"{show_size(usage.free_bytes)} free in {usage.path}")
