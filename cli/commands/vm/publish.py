"""``banger vm publish`` and ``banger vm unpublish``."""

from typing import Any

import click

from cli.commands.completion import published_ports
from cli.commands.vm.options.arguments import one_vm
from cli.parsing.param_types import PublishedPort
from cli.terminal.output import Item, format_options, show_many

PUBLISH_SECONDS = 60.0

COLUMNS = {
    "VM": lambda port: str(port["vm"]),
    "HOST": lambda port: str(port["name"]),
    "PORT": lambda port: f"{port['protocol']}/{port['guest_port']}",
}


@click.command()
@one_vm
@click.argument(
    "specs", metavar="[ADDR:]HOST:GUEST[/udp]...", nargs=-1, required=True, type=PublishedPort()
)
@format_options
def publish(vm: str, specs: tuple[dict[str, Any], ...], output: str, quiet: bool) -> None:
    """Lead ports of the host to a VM, at once if it runs and whenever it does.

    Without an address it is 127.0.0.1, for programs on this host; 0.0.0.0 is all its addresses.
    Prints all that the VM publishes now.

    \b
    Examples:
      banger vm publish web 8080:80
      banger vm publish web 0.0.0.0:8443:443 5353:53/udp
    """
    _show(_ask("vm.publish", {"ref": vm, "publish": list(specs)}), output, quiet=quiet)


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
    body = {"ref": vm, "ports": list(specs), "every": every}
    _show(_ask("vm.unpublish", body), output, quiet=quiet)


def _ask(verb: str, body: dict[str, Any]) -> Item:
    from cli.client.connection import connect

    with connect() as client:
        row: Item = client.call("api", verb, body, timeout=PUBLISH_SECONDS)["vm"]
    return row


def _show(row: Item, output: str, *, quiet: bool) -> None:
    """``name`` is where it is reached."""
    ports = [
        {
            "id": row["id"],
            "vm": row["name"],
            "name": f"{each['host_address']}:{each['host_port']}",
            **each,
        }
        for each in row["publish"]
    ]
    show_many(ports, COLUMNS, output, quiet=quiet)
