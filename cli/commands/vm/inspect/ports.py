"""``banger vm ports``."""

import click

from cli.client.batch import ask_each, good_ones
from cli.commands.vm.options.arguments import some_running_vms
from cli.terminal.output import Item, Settings, format_options, show_many

PORTS_SECONDS = 30.0

COLUMNS = {
    "VM": lambda port: str(port["vm"]),
    "PORT": lambda port: f"{port['protocol']}/{port['guest_port']}",
    "LISTENS ON": lambda port: str(port["guest_address"]) or "-",
    "REACHED AT": lambda port: str(port["name"]) or "-",
    "URL": lambda port: str(port["url"]) or "-",
}


@click.command()
@some_running_vms
@format_options
@click.pass_obj
def ports(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """Show what listens in VMs, where that is reached from here, and what they publish.

    In user mode a port below 1024 that the host keeps for root is reached at 8000 more: 80 at 8080.

    \b
    Examples:
      banger vm ports web
      banger vm ports web -o json | jq -r '.[].url'
    """
    good, status = good_ones(ask_each(vms, "vm.ports", {}, PORTS_SECONDS), settings)
    shown = [_port(answer.row, port) for answer in good for port in answer.result["ports"]]
    if quiet or output == "name":
        shown = [port for port in shown if port["name"]]
    if quiet:
        shown = list({port["id"]: port for port in shown}.values())
    show_many(shown, COLUMNS, output, quiet=quiet)
    return status


def _reached(row: Item, port: Item) -> str:
    if not port["host_port"]:
        return ""
    host = port["host_address"] if port["published"] else f"{row['name']}.vm"
    return f"{host}:{port['host_port']}"


def _port(row: Item, port: Item) -> Item:
    """``name`` is where it is reached, empty when it is not; ``id`` and ``vm`` say whose it is."""
    return {"id": row["id"], "vm": row["name"], "name": _reached(row, port), **port}
