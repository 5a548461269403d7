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
    click.option("--name", type=VmName(), help="Name of the VM; a random one if not given."),
    click.option(
        "--image",
        metavar="NAME",
        type=Words(),
        help="What to start from.",
        shell_complete=image_names,
    ),
    click.option("--vcpu", metavar="N", type=click.IntRange(min=1), help="Number of processors."),
    click.option("--memory", "memory_mib", type=MemoryMib(), help="Memory: 2G, 512M, or MiB."),
    click.option("--disk-size", "disk_bytes", type=Size(), help="Size of /root: 8G."),
    click.option("--overlay-size", "overlay_bytes", type=Size(), help="Room for system changes."),
    click.option("--vmm", type=VMM, help=f"What runs it; auto: {explain_auto()}."),
    egress_option,
    click.option("--nat", is_flag=True, help="Short for --egress nat."),
    click.option(
        "-p",
        "--publish",
        metavar="[ADDR:]HOST:GUEST[/udp]",
        type=PublishedPort(),
        multiple=True,
        help="Lead a port of the host, of 127.0.0.1 if no address is given, to one of the VM's; "
        "repeatable.",
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
