"""``banger vm prune``."""

import sys
from typing import TYPE_CHECKING

import click

from cli.client.batch import as_far_as_done, ask_exactly, print_outcomes, vms_of
from cli.commands.vm.inspect.show import COLUMNS
from cli.terminal.output import Settings, format_options, note, print_table
from shared.contract.verbs import api
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.messages.vm import VmView
    from shared.contract.verb import Request

SHOWN = ("ID", "NAME", "STATE", "DISK", "CREATED")


@click.command()
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@format_options
@click.pass_obj
def prune(settings: Settings, force: bool, output: str, quiet: bool) -> int:
    """Delete all VMs that do not run, with their disks, after showing them and asking.

    \b
    Examples:
      banger vm prune
      banger vm prune -f -o json
    """
    from cli.client.connection import ask

    doomed = ask(api.VM_PRUNABLE()).vms
    if doomed:
        rows = [[COLUMNS[column](view) for column in SHOWN] for view in doomed]
        print_table(SHOWN, rows, err=True)
        if not force and not _agreed(len(doomed)):
            note("nothing was deleted")
            return 1
    else:
        note("there is no VM that does not run")
    names = {view.vm.id: view.vm.name for view in doomed}
    outcomes, interrupted = as_far_as_done(lambda: ask_exactly(names, _deletion))
    for vm_id in [ref for ref, outcome in outcomes.items() if _was_started(outcome)]:
        note(f"{names[vm_id]} was started meanwhile, and is kept")
        del outcomes[vm_id]
    status = print_outcomes(vms_of(outcomes), settings, output, quiet=quiet)
    return interrupted or status


def _deletion(vm_id: str) -> "Request[VmView]":
    return api.VM_DELETE(ref=vm_id, unless_live=True)


def _was_started(outcome: object) -> bool:
    return isinstance(outcome, BangerError) and outcome.code is Code.CONFLICT


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise BangerError(
            Code.USAGE,
            "deleting them has to be agreed to, and there is no terminal to ask on",
            hint="banger vm prune -f deletes without asking",
        )
    return bool(click.confirm(f"Delete {count} of them?", default=False, err=True))
