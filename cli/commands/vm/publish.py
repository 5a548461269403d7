"""``banger vm publish`` and ``banger vm unpublish``."""

from typing import TYPE_CHECKING, NamedTuple

import click

from cli.client.completers import published_ports
from cli.commands.vm.options.arguments import one_vm
from cli.parsing.param_types import PublishedPort
from cli.terminal.output import Columns, ListEntry, format_options, note, show_many
from shared.bus.record import fields_of
from shared.contract.verbs import api
from shared.errors import BangerError

if TYPE_CHECKING:
    from shared.bus.client import Client
    from shared.contract.messages.vm import Publication, Vm


LOOK_SECONDS = 5.0
"""What the guest may take to tell what it listens on."""


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
    """Publish guest ports on the host.

    Takes effect at once on a running VM, and at every start until the port is unpublished. The host
    address defaults to 127.0.0.1, which only programs on this host can reach; 0.0.0.0 stands for
    all addresses of the host. Prints all published ports of the VM, and a note if a program in the
    guest listens on a new one and cannot be reached.

    \b
    Examples:
      banger vm publish web 8080:80
      banger vm publish web 0.0.0.0:8443:443 5353:53/udp
    """
    from cli.client.connection import connect

    with connect() as client:
        published = client.ask(api.VM_PUBLISH(ref=vm, publish=list(specs))).vm
        _show(published, output, quiet=quiet)
        if published.state == "running" and output == "table" and not quiet:
            _warn(client, published, specs)


@click.command()
@one_vm
@click.argument("specs", metavar="[PORT...]", nargs=-1, shell_complete=published_ports)
@click.option("--all", "every", is_flag=True, help="Unpublish all ports.")
@format_options
@click.pass_context
def unpublish(
    ctx: click.Context, vm: str, specs: tuple[str, ...], every: bool, output: str, quiet: bool
) -> None:
    """Stop publishing ports of a VM.

    PORT is written as for publish, or is the host port alone. Without an address it matches every
    address, without /tcp or /udp both protocols. Prints the ports that remain published.

    \b
    Examples:
      banger vm unpublish web 8080
      banger vm unpublish web 5353:53/udp
      banger vm unpublish web --all
    """
    if bool(specs) == every:
        raise click.UsageError("give either ports or --all", ctx)
    from cli.client.connection import ask

    request = api.VM_UNPUBLISH(ref=vm, ports=list(specs), every=every)
    _show(ask(request).vm, output, quiet=quiet)


def _warn(client: "Client", vm: "Vm", specs: "tuple[Publication, ...]") -> None:
    """Say on stderr which of the new ports lead to a listener that they cannot reach."""
    from shared.contract.reference import by_id

    try:
        ports = client.ask(api.VM_PORTS(ref=by_id(vm.id)), timeout=LOOK_SECONDS).ports
    except BangerError:
        return  # a guest that does not answer now: the ports are published all the same
    new = {(each.protocol, each.host_address, each.host_port) for each in specs}
    for port in ports:
        if port.reason and (port.protocol, port.host_address, port.host_port) in new:
            note(f"note: {port.protocol}/{port.guest_port} of {vm.name}: {port.reason}")


def _show(vm: "Vm", output: str, *, quiet: bool) -> None:
    show_many([_entry(vm, each) for each in vm.publish], COLUMNS, output, quiet=quiet)


def _entry(vm: "Vm", publication: "Publication") -> ListEntry[PublishedBy]:
    """Its name is where it is reached."""
    reached = _reached(publication)
    fields = {"id": vm.id, "vm": vm.name, "name": reached, **fields_of(publication)}
    return ListEntry(vm.id, reached, fields, PublishedBy(vm.name, publication))


def _guest_port(publication: "Publication") -> str:
    return f"{publication.protocol}/{publication.guest_port}"


def _reached(publication: "Publication") -> str:
    return f"{publication.host_address}:{publication.host_port}"
