"""``banger vm publish`` and ``banger vm unpublish``."""

from typing import TYPE_CHECKING, NamedTuple

import click

from cli.client.completers import published_ports
from cli.commands.vm.options.arguments import one_vm
from cli.parsing.param_types import PublishedPort
from cli.terminal.output import Columns, Entry, format_options, show_many
from shared.bus.record import fields_of
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.vm import Publication, Vm


class PublishedBy(NamedTuple):
    """A publication and the name of its VM."""

    vm: str
    publication: "Publication"


COLUMNS: Columns[PublishedBy] = {
    "VM": lambda published: published.vm,
    "HOST": lambda published: _reached(published.publication),
    "PORT": lambda published: _guest_port(published.publication),
}


@click.command()
@one_vm
@click.argument(
    "specs", metavar="[ADDR:]HOST:GUEST[/udp]...", nargs=-1, required=True, type=PublishedPort()
)
@format_options
def publish(vm: str, specs: "tuple[Publication, ...]", output: str, quiet: bool) -> None:
    """Lead ports of the host to a VM, at once if it runs and whenever it does.

    Without an address it is 127.0.0.1, for programs on this host; 0.0.0.0 is all its addresses.
    Prints all that the VM publishes now.

    \b
    Examples:
      banger vm publish web 8080:80
      banger vm publish web 0.0.0.0:8443:443 5353:53/udp
    """
    from cli.client.connection import ask

    request = api.VM_PUBLISH(ref=vm, publish=list(specs))
    _show(ask(request).vm, output, quiet=quiet)


@click.command()
@one_vm
@click.argument("specs", metavar="[SPEC...]", nargs=-1, shell_complete=published_ports)
@click.option("--all", "every", is_flag=True, help="All that it publishes.")
@format_options
@click.pass_context
def unpublish(
    ctx: click.Context, vm: str, specs: tuple[str, ...], every: bool, output: str, quiet: bool
) -> None:
    """Take ports of the host away from a VM. SPEC is as for publish, or HOST alone.

    Without an address it is meant on every one, without /tcp or /udp for both. Prints what the VM
    still publishes.

    \b
    Examples:
      banger vm unpublish web 8080
      banger vm unpublish web 5353:53/udp
      banger vm unpublish web --all
    """
    if bool(specs) == every:
        raise click.UsageError("give what to take away, or --all", ctx)
    from cli.client.connection import ask

    request = api.VM_UNPUBLISH(ref=vm, ports=list(specs), every=every)
    _show(ask(request).vm, output, quiet=quiet)


def _show(vm: "Vm", output: str, *, quiet: bool) -> None:
    show_many([_entry(vm, each) for each in vm.publish], COLUMNS, output, quiet=quiet)


def _entry(vm: "Vm", publication: "Publication") -> Entry[PublishedBy]:
    """Its name is where it is reached."""
    reached = _reached(publication)
    fields = {"id": vm.id, "vm": vm.name, "name": reached, **fields_of(publication)}
    return Entry(vm.id, reached, fields, PublishedBy(vm.name, publication))


def _guest_port(publication: "Publication") -> str:
    return f"{publication.protocol}/{publication.guest_port}"


def _reached(publication: "Publication") -> str:
    return f"{publication.host_address}:{publication.host_port}"
