"""``banger vm prune``."""

import sys

import click

from cli.client.batch import act_on
from cli.commands.vm.inspect.show import COLUMNS
from cli.commands.vm.lifecycle import STOP_SECONDS
from cli.terminal.output import Item, Settings, format_options, note, print_table
from shared.errors import BangerError, Code

SPARED = ("starting", "running", "paused", "stopping")
"""States that are left alone. A VM that is stopping may be one that is being restarted."""

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
    doomed = _not_running()
    if doomed:
        rows = [[COLUMNS[column](vm) for column in SHOWN] for vm in doomed]
        print_table(SHOWN, rows, err=True)
        if not force and not _agreed(len(doomed)):
            note("nothing was deleted")
            return 1
    else:
        note("there is no VM that does not run")
    # Asked again, because an answer takes its time: what was started meanwhile is spared.
    still = {vm["id"] for vm in _not_running()}
    ids = [vm["id"] for vm in doomed if vm["id"] in still]
    return act_on(ids, "vm.delete", {}, STOP_SECONDS, settings, output, quiet=quiet)


def _not_running() -> list[Item]:
    from cli.client.connection import ask

    rows = [view["vm"] for view in ask("api", "vm.list")["vms"]]
    return [row for row in rows if row["state"] not in SPARED]


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise BangerError(
            Code.USAGE,
            "deleting them has to be agreed to, and there is no terminal to ask on",
            hint="banger vm prune -f deletes without asking",
        )
    return bool(click.confirm(f"Delete {count} of them?", default=False, err=True))
