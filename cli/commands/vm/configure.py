"""``banger vm set`` and ``banger vm rename``."""

from typing import Any

import click

from cli.client.batch import act_on
from cli.client.completers import vm_names
from cli.commands.vm.inspect.show import DETAILS, entry
from cli.commands.vm.options.arguments import some_vms
from cli.commands.vm.options.choice_options import choice_options
from cli.parsing.param_types import VmName
from cli.terminal.output import format_options, show_one
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

    Labels, the egress policy and the idle limit can be changed at any time. Sizes and the VMM can
    be changed while the VM is stopped.

    \b
    Examples:
      banger vm set web --vcpu 4 --memory 8G
      banger vm set web db --no-nat
      banger vm set web --egress allow=deb.debian.org:80,192.0.2.0/24
      banger vm set web --egress allow=*,db.vm:5432
      banger vm set web --idle-suspend 30m
    """
    if not chosen:
        raise click.UsageError("nothing to change", ctx)
    return act_on(vms, lambda ref: api.VM_SET(ref=ref, **chosen), ctx.obj, output, quiet=quiet)


@click.command()
@click.argument("vm", shell_complete=vm_names)
@click.argument("name", type=VmName())
@format_options
def rename(vm: str, name: str, output: str, quiet: bool) -> None:
    """Rename a VM, running or not.

    The name in DNS and for ssh changes at once. A running guest gets the new hostname at once if
    its agent answers, otherwise at its next start. A VM that an egress list names cannot be
    renamed: change the list first.

    \b
    Example:
      banger vm rename web web-old
    """
    from cli.client.connection import ask

    renamed = ask(api.VM_RENAME(ref=vm, name=name))
    form = "name" if output == "table" else output
    show_one(entry(renamed), DETAILS, form, quiet=quiet)
