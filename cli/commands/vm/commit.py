"""``banger vm commit``."""

import click

from cli.client.completers import vm_names
from cli.client.operation import run_operation
from cli.commands.image.details import details_of
from cli.terminal.output import entry, format_options, show_one
from shared.contract.verbs.api import VM_COMMIT


@click.command()
@click.argument("vm", shell_complete=vm_names)
@click.argument("name")
@click.option(
    "--work-seed", is_flag=True, help="Keep /root too: new VMs of the image start with its content."
)
@format_options
def commit(vm: str, name: str, work_seed: bool, output: str, quiet: bool) -> None:
    """Make an image called NAME of what a stopped VM has changed.

    The image holds only the changes, and needs the one that the VM was made of. /root is on a disk
    of its own, which is left out without --work-seed.

    \b
    Examples:
      banger vm commit web web-ready
      banger vm run --image web-ready
    """
    made = run_operation(VM_COMMIT(ref=vm, name=name, work_seed=work_seed))
    show_one(entry(made), details_of(made), output, quiet=quiet)
