"""The options that ``vm run`` and ``vm create`` share."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from cli.client.completers import image_names
from cli.commands.image.sources import auth_file
from cli.commands.vm.options.choice_options import choice_options
from cli.commands.vm.options.wait_option import wait_option
from cli.parsing.param_types import PublishedPort, VmName, Words

if TYPE_CHECKING:
    from shared.contract.messages.vm import Publication

Command = TypeVar("Command", bound=Callable[..., Any])

FIRST = (
    click.option("--name", type=VmName(), help="Name of the VM. Default: a random name."),
    click.option(
        "--image",
        metavar="IMAGE",
        type=Words(),
        help="Image to start from, as of banger image list or banger image pull; built or pulled "
        "first if needed. Default: defaults.image of the configuration.",
        shell_complete=image_names,
    ),
)
LAST = (
    click.option(
        "-p",
        "--publish",
        metavar="[ADDR:]HOST:GUEST[/udp]",
        type=PublishedPort(),
        multiple=True,
        help="Publish a guest port on the host. The host address defaults to 127.0.0.1. "
        "Repeatable.",
    ),
    click.option(
        "--cold",
        is_flag=True,
        help="Boot the VM instead of starting it from a template.",
    ),
    wait_option,
)


def creation_options(command: Command) -> Command:
    """Add the options; the parameters that they become are fields of VmCreate."""

    @wraps(command)
    def with_fields(
        *arguments: Any,
        chosen: dict[str, Any],
        publish: "tuple[Publication, ...]",
        cold: bool,
        **others: Any,
    ) -> Any:
        given: dict[str, Any] = {"publish": list(publish)} if publish else {}
        if cold:
            given["cold"] = True
        if passwords := auth_file():
            given["auth_file"] = passwords
        return command(*arguments, **others, **chosen, **given)

    decorated: Any = with_fields
    for option in reversed(LAST):
        decorated = option(decorated)
    decorated = choice_options(decorated)
    for option in reversed(FIRST):
        decorated = option(decorated)
    return cast(Command, decorated)
