"""The options that ``vm run`` and ``vm create`` share."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from cli.client.completers import image_names
from cli.commands.vm.options.egress_option import egress_fields, egress_option
from cli.parsing.param_types import MemoryMib, PublishedPort, Size, VmName, Words
from shared.vmm.registry import choices, explain_auto

if TYPE_CHECKING:
    from shared.contract.messages.vm import Publication

Command = TypeVar("Command", bound=Callable[..., Any])

VMM = click.Choice(choices())

OPTIONS = (
    click.option("--name", type=VmName(), help="Name of the VM. Default: a random name."),
    click.option(
        "--image",
        metavar="NAME",
        type=Words(),
        help="Image to start from, built first if needed. Default: defaults.image of the "
        "configuration.",
        shell_complete=image_names,
    ),
    click.option("--vcpu", metavar="N", type=click.IntRange(min=1), help="Number of virtual CPUs."),
    click.option(
        "--memory",
        "memory_mib",
        type=MemoryMib(),
        help="Memory, such as 2G or 512M. A bare number is in MiB.",
    ),
    click.option(
        "--disk-size", "disk_bytes", type=Size(), help="Size of the disk at /root, such as 8G."
    ),
    click.option(
        "--overlay-size",
        "overlay_bytes",
        type=Size(),
        help="Size of the disk that holds changes to the system, such as 8G.",
    ),
    click.option("--vmm", type=VMM, help=f"Virtual machine monitor. auto: {explain_auto()}."),
    egress_option,
    click.option("--nat", is_flag=True, help="Same as --egress nat."),
    click.option(
        "-p",
        "--publish",
        metavar="[ADDR:]HOST:GUEST[/udp]",
        type=PublishedPort(),
        multiple=True,
        help="Publish a guest port on the host. The host address defaults to 127.0.0.1. "
        "Repeatable.",
    ),
)


def creation_options(command: Command) -> Command:
    """Add the options; the parameters that they become are fields of VmCreate."""

    @wraps(command)
    def with_network(
        *arguments: Any,
        egress: Any,
        nat: bool,
        publish: "tuple[Publication, ...]",
        **others: Any,
    ) -> Any:
        network = egress_fields(egress, True if nat else None)
        if publish:
            network["publish"] = list(publish)
        return command(*arguments, **others, **network)

    decorated: Any = with_network
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return cast(Command, decorated)
