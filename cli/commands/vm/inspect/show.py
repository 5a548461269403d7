"""``banger vm list`` and ``banger vm show``. What ``list`` imports is felt at every prompt."""

from typing import Any

import click

from cli.commands.completion import vm_names
from cli.terminal.formatting import show_size, show_time
from cli.terminal.output import Item, format_options, show_many, show_one

COLUMNS = {
    "ID": lambda vm: str(vm["id"]),
    "NAME": lambda vm: str(vm["name"]),
    "STATE": lambda vm: str(vm["state"]),
    "IMAGE": lambda vm: str(vm["image_name"]),
    "IP": lambda vm: str(vm["address"]),
    "VCPU": lambda vm: str(vm["vcpu"]),
    "MEM": lambda vm: show_size(vm["memory_mib"] * 1024 * 1024),
    "DISK": lambda vm: show_size(vm["disk_bytes"]),
    "WORKSPACE": lambda vm: str(vm["workspace"]) or "-",
    "CREATED": lambda vm: show_time(vm["created_at"]),
}

DETAILS = {
    **COLUMNS,
    "OVERLAY": lambda vm: show_size(vm["overlay_bytes"]),
    "REASON": lambda vm: str(vm["reason"]) or "-",
    "NETWORK": lambda vm: str(vm["network"]),
    "EGRESS": lambda vm: egress(vm),
    "PUBLISHED": lambda vm: ", ".join(map(published, vm["publish"])) or "-",
    "PORTS": lambda vm: _ports(vm["ports"]) or "-",
    "PID": lambda vm: str(vm["pid"] or "-"),
    "VMM": lambda vm: str(vm["running_vmm"] or vm["vmm"]),
    "ACCEL": lambda vm: str(vm["accel"]) or "-",
    "CONSOLE": lambda vm: str(vm["console_log"]) or "-",
}


def _ports(ports: dict[str, int]) -> str:
    return ", ".join(f"{guest} -> {port}" for guest, port in ports.items())


def egress(vm: Item) -> str:
    """As ``--egress`` takes it."""
    from shared.contract.egress import Egress

    return str(Egress(vm["nat"], tuple(vm["allow"])))


def published(publication: dict[str, Any]) -> str:
    """As ``--publish`` takes it."""
    from shared.contract.messages.vm import Publication

    return str(Publication(**publication))


def flatten(view: dict[str, Any]) -> Item:
    """A VmView as users see it: the fields of its row beside what was found to run."""
    return {**view["vm"], **{name: value for name, value in view.items() if name != "vm"}}


@click.command("list")
@format_options
def list_(output: str, quiet: bool) -> None:
    """List all VMs, with the state they are really in.

    \b
    Examples:
      banger vm list
      banger vm ls -o json | jq -r '.[] | select(.state == "running") | .name'
      banger vm delete $(banger vm list -q)
    """
    show_many(_all_vms(), COLUMNS, output, quiet=quiet)


@click.command()
@format_options
def ps(output: str, quiet: bool) -> None:
    """List the VMs that run.

    \b
    Examples:
      banger vm ps
      banger vm stop $(banger vm ps -q)
    """
    running = [vm for vm in _all_vms() if vm["state"] == "running"]
    show_many(running, COLUMNS, output, quiet=quiet)


def _all_vms() -> list[Item]:
    from cli.client.connection import ask

    return [flatten(view) for view in ask("api", "vm.list")["vms"]]


@click.command()
@click.argument("vm", shell_complete=vm_names)
@format_options
def show(vm: str, output: str, quiet: bool) -> None:
    """Show one VM.

    \b
    Examples:
      banger vm show web
      banger vm show web -o json | jq .access
    """
    from cli.client.connection import ask

    show_one(flatten(ask("api", "vm.show", {"ref": vm})), DETAILS, output, quiet=quiet)
