"""What ``vm run`` and ``vm create`` share: the sizing options and the creation itself."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.completion import image_names
from cli.operation import operate
from cli.values import MemoryMib, Size, VmName

if TYPE_CHECKING:
    from shared.bus.client import Client

CREATE_SECONDS = 3600.0
"""Image and kernel may have to be built first."""

Command = TypeVar("Command", bound=Callable[..., Any])

VMM = click.Choice(("auto", "firecracker", "qemu"))

OPTIONS = (
    click.option("--name", type=VmName(), help="Name of the VM; a random one if not given."),
    click.option("--image", metavar="NAME", help="What to start from.", shell_complete=image_names),
    click.option("--vcpu", metavar="N", type=click.IntRange(min=1), help="Number of processors."),
    click.option("--memory", "memory_mib", type=MemoryMib(), help="Memory: 2G, 512M, or MiB."),
    click.option("--disk-size", "disk_bytes", type=Size(), help="Size of /root: 8G."),
    click.option("--overlay-size", "overlay_bytes", type=Size(), help="Room for system changes."),
    click.option(
        "--vmm", type=VMM, help="What runs it; auto: Firecracker where it can, else QEMU."
    ),
    click.option("--nat", is_flag=True, help="Let the VM reach the outside."),
)


def creation_options(command: Command) -> Command:
    """Add the options whose parameters are the fields of VmCreate."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def create_vm(client: "Client", body: dict[str, Any]) -> dict[str, Any]:
    """``vm.create`` with progress; returns the VmView.

    Raises:
        BangerError: why there is no VM; ``details["kept"]`` names one that failed to boot.
        Interrupted, Finished: see ``cli.operation.operate``.
    """
    return operate(client, "api", "vm.create", body, CREATE_SECONDS)
