"""``banger vm set``."""

from typing import Any

import click

from cli.client.batch import act_on
from cli.commands.vm.options.arguments import some_vms
from cli.commands.vm.options.choice_options import choice_options
from cli.terminal.output import format_options
from shared.contract.verbs import api


@click.command("set")
@some_vms
@choice_options
@format_options
@click.pass_context
def set_(
    ctx: click.Context,
    vms: tuple[str, ...],
    chosen: dict[str, Any],
    output: str,
    quiet: bool,
) -> int:
    """Change the configuration of VMs.

    The egress policy can be changed at any time, sizes and the VMM while the VM is stopped.

    \b
    Examples:
      banger vm set web --vcpu 4 --memory 8G
      banger vm set web db --no-nat
      banger vm set web --egress allow=deb.debian.org:80,192.0.2.0/24
      banger vm set web --egress allow=*,db.vm:5432
    """
    if not chosen:
        raise click.UsageError("nothing to change: see banger vm set --help", ctx)
    return act_on(vms, lambda ref: api.VM_SET(ref=ref, **chosen), ctx.obj, output, quiet=quiet)
