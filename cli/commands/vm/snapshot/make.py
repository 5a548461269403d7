"""``banger vm snapshot create``."""

import click

from cli.client.completers import vm_names
from cli.client.operation import run_operation
from cli.commands.vm.snapshot.look import DETAILS, entry
from cli.commands.vm.snapshot.place import split
from cli.parsing.param_types import VmName
from cli.terminal.output import format_options, note, show_one
from shared.contract.verbs import api


@click.command()
@click.argument("vm", metavar="VM", shell_complete=vm_names)
@click.argument("name", metavar="[NAME]", type=VmName(), required=False)
@click.option("--disk", is_flag=True, help="Save only the disks, not the memory.")
@format_options
def create(vm: str, name: str | None, disk: bool, output: str, quiet: bool) -> None:
    """Make a snapshot of a VM.

    A running guest is paused for a moment. A stopped VM has no memory, so its snapshot has only
    the disks. Without NAME, the snapshot is named after the local time, as 2026-11-29-1130.

    \b
    Examples:
      banger vm snapshot create web
      banger vm snapshot create web clean
      banger vm snapshot create db before-upgrade --disk
    """
    vm, joined = split(vm)
    if joined and name:
        raise click.UsageError(f"two names: {joined} and {name}", click.get_current_context())
    made = run_operation(api.SNAPSHOT_CREATE(ref=vm, name=joined or name or None, memory=not disk))
    if not (made.memory or disk):
        note(f"{made.vm_name} is not running: the snapshot has only its disks.")
    show_one(entry(made), DETAILS, output, quiet=quiet)
