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
    help="How many to make: NAME-1, NAME-2 and so on.",
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
    """Make new VMs that begin as copies of a VM.

    What runs in VM goes on running in each copy, and VM itself goes on after a moment. A copy has
    a name, an address, host keys and random numbers of its own; whatever other secrets are in the
    guest are in its copies too. A copy of a stopped VM is stopped. Without NAME, copies are called
    as VM and a number.

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
    for sentence in forks.notices:
        note(sentence)
    if output == "json":
        print_json(fields_of(forks))
        return 0
    for made in forks.vms:
        echo(made.id if quiet else made.name)
    if forks.pause_seconds and not quiet:
        note(f"{ref} stood still for {forks.pause_seconds:.2f} s")
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
