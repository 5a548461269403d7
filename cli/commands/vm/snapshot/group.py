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
    """Save what a VM is now, and come back to it.

    A snapshot has the VM's disks and, if the guest runs, its memory: programs go on where they
    were. It belongs to its VM, and is deleted with it. NAME may be written with its VM, as
    VM/NAME.

    \b
    Examples:
      banger vm snapshot create web clean
      banger vm snapshot restore web clean
      banger vm run --rm --from web/clean -- make test
    """
