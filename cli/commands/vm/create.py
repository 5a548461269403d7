"""``banger vm create``."""

from typing import Any

import click

from cli.client.batch import say_notices
from cli.client.operation import LongRequest
from cli.commands.vm.inspect.show import DETAILS, entry
from cli.commands.vm.options.creation_options import creation_options
from cli.terminal.interrupted import Interrupted
from cli.terminal.output import format_options, note, show_one
from cli.terminal.signals import interrupts_raise
from shared.contract.verbs import api


@click.command()
@creation_options
@click.option("--no-start", is_flag=True, help="Do not boot the VM.")
@format_options
def create(no_start: bool, output: str, quiet: bool, **sizing: Any) -> int:
    """Create a VM and boot it.

    \b
    Examples:
      banger vm create --name web --memory 4G --nat
      banger vm create --name ci --egress allow=deb.debian.org,192.0.2.0/24:443
      banger vm create --name dns -p 127.0.0.1:5353:53/udp
      banger vm create --no-start -q
    """
    from cli.client.connection import connect

    if no_start and sizing["wait"] != "ready":
        raise click.UsageError("--wait and --no-start cannot be combined")
    with interrupts_raise(), connect() as client:
        creation = LongRequest(api.VM_CREATE(**sizing, start=not no_start))
        try:
            view = creation.complete(client)
        except Interrupted:
            if creation.result:
                name = creation.result.vm.name
                note(
                    f"Keeping {name}: it was created before the signal. "
                    f"Delete it with: banger vm delete {name}"
                )
            raise
    say_notices([view])
    show_one(entry(view), DETAILS, output, quiet=quiet)
    return 0
