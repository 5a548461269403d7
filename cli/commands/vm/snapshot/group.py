"""``banger vm snapshot``: what a VM was at a moment, to come back to."""

import click

from cli.parsing.lazy_group import LazyGroup

COMMANDS = {
    "create": "cli.commands.vm.snapshot.make:create",
    "list": "cli.commands.vm.snapshot.look:list_",
    "show": "cli.commands.vm.snapshot.look:show",
    "restore": "cli.commands.vm.snapshot.restore:restore",
    "delete": "cli.commands.vm.snapshot.remove:delete",
}


@click.group(cls=LazyGroup, lazy=COMMANDS, aliases={"ls": "list", "rm": "delete"})
def snapshot() -> None:
    """Save the state of a VM, and restore it later.

    A snapshot has the disks of a VM and, unless the VM is stopped, its memory, so that programs
    continue where they were. A snapshot belongs to its VM and is deleted with it. VM and NAME may
    be written as one word, VM/NAME.

    \b
    Examples:
      banger vm snapshot create web clean
      banger vm snapshot restore web clean
      banger vm run --rm --from web/clean -- make test
    """
