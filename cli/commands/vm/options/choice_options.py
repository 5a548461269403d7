"""The options that choose what a VM has: one set for ``vm run``, ``vm create`` and ``vm set``."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from cli.commands.vm.options.egress_option import egress_fields, egress_option
from cli.parsing.param_types import IdleLimit, MemoryMib, Size
from shared.contract.sizes import VCPU_MOST
from shared.errors import BangerError
from shared.vmm.registry import choices, explain_auto

if TYPE_CHECKING:
    from shared.contract.labels import LabelChanges

Command = TypeVar("Command", bound=Callable[..., Any])

FIELDS = {
    "vcpu": click.option(
        "--vcpu",
        metavar="N",
        type=click.IntRange(min=1, max=VCPU_MOST),
        help="Number of virtual CPUs.",
    ),
    "memory_mib": click.option(
        "--memory",
        "memory_mib",
        type=MemoryMib(),
        help="Memory, such as 2G or 512M. A bare number is in MiB.",
    ),
    "disk_bytes": click.option(
        "--disk-size",
        "disk_bytes",
        type=Size(),
        help="Size of the disk at /root, such as 8G. It can only grow.",
    ),
    "overlay_bytes": click.option(
        "--overlay-size",
        "overlay_bytes",
        type=Size(),
        help="Size of the disk that holds changes to the system, such as 8G. It can only grow.",
    ),
    "vmm": click.option(
        "--vmm",
        type=click.Choice(choices()),
        help=f"Virtual machine monitor. auto: {explain_auto()}.",
    ),
    "idle_suspend": click.option(
        "--idle-suspend",
        metavar="DURATION",
        type=IdleLimit(),
        help="Suspend the VM when it has not been used for DURATION, such as 30m. It wakes up when "
        "it is used. never: do not suspend it. default: the limit in the configuration.",
    ),
    "labels": click.option(
        "--label",
        "labels",
        metavar="KEY=VALUE",
        multiple=True,
        callback=lambda _ctx, _param, texts: _labels(texts),
        help="Label the VM. KEY- removes a label. Repeatable.",
    ),
}
"""Field of VmChoice -> the option that gives it."""

NETWORK = (
    egress_option,
    click.option("--nat/--no-nat", default=None, help="Same as --egress nat or --egress none."),
)


def _labels(texts: Sequence[str]) -> "LabelChanges | None":
    """None where none was given. Raises ``BadParameter``."""
    from shared.contract.labels import parse_label

    try:
        return dict(map(parse_label, texts)) or None
    except BangerError as error:
        raise click.BadParameter(f"{error.message}: {error.hint}") from None


def choice_options(command: Command) -> Command:
    """Add the options. The command gets ``chosen``: the fields of VmChoice that were given."""

    @wraps(command)
    def with_choice(*arguments: Any, egress: Any, nat: bool | None, **others: Any) -> Any:
        values = {field: others.pop(field) for field in FIELDS}
        chosen = {field: value for field, value in values.items() if value is not None}
        chosen |= egress_fields(egress, nat)
        return command(*arguments, chosen=chosen, **others)

    decorated: Any = with_choice
    for option in reversed((*FIELDS.values(), *NETWORK)):
        decorated = option(decorated)
    return cast(Command, decorated)
