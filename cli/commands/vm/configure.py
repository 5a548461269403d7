"""``banger vm set``."""

from typing import TYPE_CHECKING, Any

import click

from cli.client.batch import act_on
from cli.commands.vm.options.arguments import some_vms
from cli.commands.vm.options.creation_options import VMM
from cli.commands.vm.options.egress_option import egress_fields, egress_option
from cli.parsing.param_types import MemoryMib, Size
from cli.terminal.output import format_options
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.egress import Egress


@click.command("set")
@some_vms
@click.option("--vcpu", metavar="N", type=click.IntRange(min=1), help="Number of virtual CPUs.")
@click.option(
    "--memory",
    "memory_mib",
    type=MemoryMib(),
    help="Memory, such as 2G or 512M. A bare number is in MiB.",
)
@click.option(
    "--disk-size",
    "disk_bytes",
    type=Size(),
    help="Size of the disk at /root, such as 16G. It can only grow.",
)
@click.option("--vmm", type=VMM, help="Virtual machine monitor to use from the next start.")
@egress_option
@click.option("--nat/--no-nat", default=None, help="Same as --egress nat or --egress none.")
@format_options
@click.pass_context
def set_(
    ctx: click.Context,
    vms: tuple[str, ...],
    vcpu: int | None,
    memory_mib: int | None,
    disk_bytes: int | None,
    vmm: str | None,
    egress: "Egress | None",
    nat: bool | None,
    output: str,
    quiet: bool,
) -> int:
    """Change the configuration of VMs.

    The egress policy can be changed at any time, everything else while the VM is stopped.

    \b
    Examples:
      banger vm set web --vcpu 4 --memory 8G
      banger vm set web db --no-nat
      banger vm set web --egress allow=deb.debian.org:80,192.0.2.0/24
      banger vm set web --egress allow=*,db.vm:5432
    """
    given: dict[str, Any] = {
        "vcpu": vcpu,
        "memory_mib": memory_mib,
        "disk_bytes": disk_bytes,
        "vmm": vmm,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    changes |= egress_fields(egress, nat)
    if not changes:
        raise click.UsageError(
            "nothing to change: use --vcpu, --memory, --disk-size, --vmm or --egress", ctx
        )
    return act_on(vms, lambda ref: api.VM_SET(ref=ref, **changes), ctx.obj, output, quiet=quiet)
