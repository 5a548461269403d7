"""``banger vm create``."""

from typing import Any

import click

from cli.client.operation import Finished
from cli.commands.vm.inspect.show import DETAILS, flatten
from cli.commands.vm.options.creation_options import create_vm, creation_options
from cli.terminal.output import format_options, note, show_one
from cli.terminal.signals import interrupts_raise


@click.command()
@creation_options
@click.option("--no-start", is_flag=True, help="Do not boot it yet.")
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

    with interrupts_raise(), connect() as client:
        try:
            view = create_vm(client, {**sizing, "start": not no_start})
        except Finished as late:
            note(f"{late.result['vm']['name']} had been created already, and is kept")
            raise
    show_one(flatten(view), DETAILS, output, quiet=quiet)
    return 0
