"""``banger vm ports``."""

import click

from cli.arguments import some_running_vms
from cli.output import Item, Settings, format_options, show_many
from cli.several import ask_each, good_ones

PORTS_SECONDS = 30.0

COLUMNS = {
    "VM": lambda port: str(port["vm"]),
    "PORT": lambda port: f"{port['protocol']}/{port['guest_port']}",
    "LISTENS ON": lambda port: str(port["guest_address"]),
    "REACHED AT": lambda port: str(port["name"]) or "-",
    "URL": lambda port: str(port["url"]) or "-",
}


@click.command()
@some_running_vms
@format_options
@click.pass_obj
def ports(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """Show what listens in VMs, and where that is reached from here.

    \b
    Examples:
      banger vm ports web
      banger vm ports web -o json | jq -r '.[].url'
    """
    good, status = good_ones(ask_each(vms, "vm.ports", {}, PORTS_SECONDS), settings)
    shown = [_port(answer.row, port) for answer in good for port in answer.result["ports"]]
    if quiet or output == "name":
        shown = [port for port in shown if port["name"]]
    show_many(shown, COLUMNS, output, quiet=quiet)
    return status


def _port(row: Item, port: Item) -> Item:
    """``name`` is where it is reached, empty when it is not; ``id`` and ``vm`` say whose it is."""
    reached = f"{row['name']}.vm:{port['host_port']}" if port["host_port"] else ""
    return {"id": row["id"], "vm": row["name"], "name": reached, **port}
