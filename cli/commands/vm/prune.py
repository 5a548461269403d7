"""``banger vm prune``."""

import sys
from typing import TYPE_CHECKING

import click

from cli.client.batch import as_far_as_done, ask_exactly, print_outcomes, vms_of
from cli.commands.vm.inspect.show import COLUMNS
from cli.terminal.output import Columns, Settings, format_options, note, print_table
from shared.contract.reference import by_id
from shared.contract.verbs import api
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.messages.vm import VmView
    from shared.contract.verb import Request

SHOWN: "Columns[VmView]" = {
    **{column: COLUMNS[column] for column in ("ID", "NAME", "STATE", "DISK", "CREATED")},
    "SNAPSHOTS": lambda view: str(view.snapshots or "-"),
}


@click.command()
@click.option("-f", "--force", is_flag=True, help="Do not ask for confirmation.")
@format_options
@click.pass_obj
def prune(settings: Settings, force: bool, output: str, quiet: bool) -> int:
    """Delete all stopped VMs, and those that failed or never started.

    Their disks and snapshots go with them. Suspended VMs are not deleted. Lists the VMs first and
    asks for confirmation.

    \b
    Examples:
      banger vm prune
      banger vm prune -f -o json
    """
    from cli.client.connection import ask

    doomed = ask(api.VM_PRUNABLE()).vms
    if doomed:
        rows = [[of(view) for of in SHOWN.values()] for view in doomed]
        print_table(list(SHOWN), rows, err=True)
        if not force and not _agreed(len(doomed)):
            note("Nothing was deleted.")
            return 1
    else:
        note("Nothing to prune: no VM is stopped.")
    names = {view.vm.id: view.vm.name for view in doomed}
    outcomes, interrupted = as_far_as_done(lambda: ask_exactly(names, _deletion))
    for vm_id in [ref for ref, outcome in outcomes.items() if _was_started(outcome)]:
        note(f"Keeping {names[vm_id]}: it was started in the meantime.")
        del outcomes[vm_id]
    status = print_outcomes(vms_of(outcomes), settings, output, quiet=quiet)
    return interrupted or status


def _deletion(vm_id: str) -> "Request[VmView]":
    return api.VM_DELETE(ref=by_id(vm_id), unless_live=True)


def _was_started(outcome: object) -> bool:
    return isinstance(outcome, BangerError) and outcome.code is Code.CONFLICT


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise BangerError(
            Code.USAGE,
            "cannot ask for confirmation: standard input is not a terminal",
            hint="delete without confirmation: banger vm prune -f",
        )
    noun = "VM" if count == 1 else "VMs"
    return bool(click.confirm(f"Delete {count} {noun}?", default=False, err=True))
