"""``banger vm ports``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import click

from cli.client.batch import ask_each, report_failures
from cli.commands.vm.inspect.name_resolution import resolves
from cli.commands.vm.options.arguments import some_running_vms
from cli.terminal.output import Columns, ListEntry, Settings, format_options, show_many
from shared.bus.record import fields_of
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.vm import Port, PortList


class ShownPort(NamedTuple):
    """A port, the name of its VM, and where it is reached, "" when it is not."""

    vm: str
    port: "Port"
    reached: str
    url: str


COLUMNS: Columns[ShownPort] = {
    "VM": lambda shown: shown.vm,
    "PORT": lambda shown: f"{shown.port.protocol}/{shown.port.guest_port}",
    "LISTENS ON": lambda shown: shown.port.guest_address or "-",
    "REACHED AT": lambda shown: shown.reached or "-",
    "URL": lambda shown: shown.url or "-",
    "NOTE": lambda shown: shown.port.reason,
}


@click.command()
@some_running_vms
@format_options
@click.pass_obj
def ports(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """List the listening and the published ports of VMs.

    LISTENS ON is the address inside the guest, REACHED AT the address on this host: by the VM's
    name where that resolves. NOTE says why a port is not reached and what to do. In user mode, a
    guest port below 1024 that this user may not bind is reached at the port number plus 8000: port
    80 at 8080.

    \b
    Examples:
      banger vm ports web
      banger vm ports web -o json | jq -r '.[].url'
    """
    answers = ask_each(vms, lambda ref: api.VM_PORTS(ref=ref))
    found, status = report_failures(answers, settings)
    listing = [entry for vm in found for entry in entries_of(vm)]
    if quiet or output == "name":
        listing = [entry for entry in listing if entry.of.reached]
    if quiet:
        listing = list({entry.id: entry for entry in listing}.values())
    show_many(listing, COLUMNS, output, quiet=quiet)
    for entry in listing if output == "table" and not quiet else ():
        if moved := _moved(entry.of.port):
            click.echo(f"note: {entry.of.vm}: {moved}", err=True)
    return status


def entries_of(vm: "PortList") -> Iterator[ListEntry[ShownPort]]:
    """The name of each is where it is reached."""
    name, host = f"{vm.name}.vm", ""
    for port in vm.ports:
        if port.host_port and not port.published:
            # The same for all of them: asked once.
            host = host or (name if resolves(name, port.host_address) else port.host_address)
        shown = _shown(vm.name, port, port.host_address if port.published else host)
        own = {"id": vm.id, "vm": vm.name, "name": shown.reached}
        fields = {**own, **fields_of(port), "url": shown.url}
        yield ListEntry(vm.id, shown.reached, fields, shown)


def _moved(port: "Port") -> str:
    """Why a port of the guest has another number on the VM's own address; empty if it has not."""
    if port.published or not port.host_port or port.host_port == port.guest_port:
        return ""
    return (
        f"{port.protocol} port {port.guest_port} is at {port.host_port}, because port "
        f"{port.guest_port} of {port.host_address} is privileged or another program has it"
    )


def _shown(vm: str, port: "Port", host: str) -> ShownPort:
    if not port.host_port:
        return ShownPort(vm, port, "", "")
    reached = f"{host}:{port.host_port}"
    # By the name, a server of several sites shows the right one.
    url = f"http://{reached}/" if port.url and not port.published else port.url
    return ShownPort(vm, port, reached, url)
