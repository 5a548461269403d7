"""``banger vm snapshot delete``."""

import click

from cli.commands.vm.snapshot.place import its_names, its_vm, some_snapshots
from cli.terminal.formatting import show_size
from cli.terminal.output import echo, format_options, note, print_json
from shared.bus.record import fields_of
from shared.contract.verbs import api


@click.command()
@its_vm
@its_names
@format_options
def delete(vm: str, names: tuple[str, ...], output: str, quiet: bool) -> None:
    """Delete snapshots of a VM. This cannot be undone.

    VMs that were made from a snapshot are not affected. If there is no snapshot of one of the
    names, none is deleted.

    \b
    Examples:
      banger vm snapshot delete web clean
      banger vm snapshot rm web $(banger vm snapshot list web -o name)
    """
    from cli.client.connection import ask

    vm, wanted = some_snapshots(vm, names)
    done = ask(api.SNAPSHOT_DELETE(ref=vm, names=wanted))
    if output == "json":
        print_json(fields_of(done))
        return
    for name in done.deleted:
        echo(f"{done.vm_name}/{name}" if quiet else name)
    note(f"{show_size(done.real_bytes)} freed")
