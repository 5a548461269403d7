"""``banger vm fork``."""

from typing import TYPE_CHECKING, Any

import click

from cli.client.completers import snapshots_or_vms
from cli.client.operation import LongRequest
from cli.commands.vm.options.choice_options import FIELDS
from cli.commands.vm.snapshot.place import split
from cli.parsing.param_types import VmName
from cli.terminal.interrupted import Interrupted
from cli.terminal.output import echo, format_options, note, print_json
from cli.terminal.signals import interrupts_raise
from shared.bus.record import fields_of
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.labels import LabelChanges
    from shared.contract.messages.snapshot import Forked

MOST = 100
"""Forks of one request, as ``shared.contract.messages.snapshot`` has it."""


@click.command()
@click.argument("vm", metavar="VM[/SNAPSHOT]", shell_complete=snapshots_or_vms)
@click.argument("name", metavar="[NAME]", type=VmName(), required=False)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1, max=MOST),
    default=1,
    show_default=True,
    help="Number of copies. Above 1, they are named NAME-1, NAME-2 and so on.",
)
@FIELDS["labels"]
@format_options
def fork(
    vm: str,
    name: str | None,
    count: int,
    labels: "LabelChanges | None",
    output: str,
    quiet: bool,
) -> int:
    """Make new VMs that begin as copies of a VM, or of a snapshot.

    Programs that run in VM go on running in each copy. VM itself is paused for a moment. A copy
    without memory, of a stopped VM or of a snapshot of disks only, is stopped. Each copy has a
    name, an address, an ssh host key and random numbers of its own; all other secrets in the guest
    are copied. Without NAME, copies are named after VM with the first free numbers: web-1, web-2.

    \b
    Examples:
      banger vm fork web
      banger vm fork web try -n 10
      banger vm fork web/clean web-again
    """
    ref, snapshot = split(vm)
    wanted: dict[str, Any] = {"name": name, "snapshot": snapshot, "labels": labels}
    given = {field: value for field, value in wanted.items() if value}
    forks = _forked(LongRequest(api.VM_FORK(ref=ref, count=count, **given)))
    if output == "json":
        print_json(fields_of(forks))
        return 0
    for made in forks.vms:
        echo(made.id if quiet else made.name)
    if forks.pause_seconds and not quiet:
        note(f"{ref} was paused for {forks.pause_seconds:.2f} s")
    return 0


def _forked(request: "LongRequest[Forked]") -> "Forked":
    from cli.client.connection import connect

    with interrupts_raise(), connect() as client:
        try:
            return request.complete(client)
        except Interrupted:
            if request.result:
                names = " ".join(made.name for made in request.result.vms)
                note(f"Keeping {names}: made before the signal. Delete: banger vm delete {names}")
            raise
