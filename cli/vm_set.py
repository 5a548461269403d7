"""``banger vm set``."""

import click

from cli.arguments import some_vms
from cli.creation import VMM
from cli.output import format_options
from cli.several import act_on
from cli.values import MemoryMib, Size

SET_SECONDS = 60.0


@click.command("set")
@some_vms
@click.option("--vcpu", metavar="N", type=click.IntRange(min=1), help="Number of processors.")
@click.option("--memory", "memory_mib", type=MemoryMib(), help="Memory: 2G, 512M, or MiB.")
@click.option("--disk-size", "disk_bytes", type=Size(), help="Size of /root; it only grows.")
@click.option("--vmm", type=VMM, help="What runs it from the next start on.")
@click.option("--nat/--no-nat", default=None, help="Whether the VM reaches the outside.")
@format_options
@click.pass_context
def set_(
    ctx: click.Context,
    vms: tuple[str, ...],
    vcpu: int | None,
    memory_mib: int | None,
    disk_bytes: int | None,
    vmm: str | None,
    nat: bool | None,
    output: str,
    quiet: bool,
) -> int:
    """Change what VMs have. Sizes and VMM change while a VM is stopped, --nat at any time.

    \b
    Examples:
      banger vm set web --vcpu 4 --memory 8G
      banger vm set web db --no-nat
    """
    given = {
        "vcpu": vcpu,
        "memory_mib": memory_mib,
        "disk_bytes": disk_bytes,
        "vmm": vmm,
        "nat": nat,
    }
    extra = {field: value for field, value in given.items() if value is not None}
    if not extra:
        raise click.UsageError(
            "nothing to set: give --vcpu, --memory, --disk-size, --vmm, --nat or --no-nat", ctx
        )
    return act_on(vms, "vm.set", extra, SET_SECONDS, ctx.obj, output, quiet=quiet)
