"""``banger vm create``."""

from typing import Any

import click

from cli.creation import create_vm, creation_options
from cli.operation import Finished
from cli.output import format_options, note, show_one
from cli.signals import interrupts_raise
from cli.vm_show import DETAILS, flatten


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
    from cli.call import connect

    with interrupts_raise(), connect() as client:
        try:
            view = create_vm(client, {**sizing, "start": not no_start})
        except Finished as late:
            note(f"{late.result['vm']['name']} had been created already, and is kept")
            raise
    show_one(flatten(view), DETAILS, output, quiet=quiet)
    return 0
