"""``banger vm list`` and ``banger vm show``. Imports here delay every ``list``."""

import os
from typing import TYPE_CHECKING

import click

from cli.client.completers import vm_names
from cli.terminal.formatting import show_size, show_time
from cli.terminal.output import Columns, ListEntry, format_options, show_many, show_one
from shared.bus.record import fields_of
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.vm import Vm, VmView
    from shared.contract.messages.workspace import Workspace

COLUMNS: "Columns[VmView]" = {
    "ID": lambda view: view.vm.id,
    "NAME": lambda view: view.vm.name,
    "STATE": lambda view: view.vm.state,
    "IMAGE": lambda view: view.vm.image_name,
    "IP": lambda view: view.vm.address,
    "VCPU": lambda view: str(view.vm.vcpu),
    "MEM": lambda view: show_size(view.vm.memory_mib * 1024 * 1024),
    "DISK": lambda view: show_size(view.vm.disk_bytes),
    "WORKSPACE": lambda view: _workspace(view.vm),
    "CREATED": lambda view: show_time(view.vm.created_at),
}

DETAILS: "Columns[VmView]" = {
    **COLUMNS,
    "WORKSPACE": lambda view: ", ".join(map(_placed, view.vm.workspaces)) or "-",
    "OVERLAY": lambda view: show_size(view.vm.overlay_bytes),
    "REASON": lambda view: _reason(view),
    "ORIGIN": lambda view: view.vm.origin or "-",
    "TEMPLATE": lambda view: _template(view.vm),
    "SNAPSHOTS": lambda view: str(view.snapshots or "-"),
    "IDLE": lambda view: _idle(view),
    "LABELS": lambda view: ", ".join(f"{k}={v}" for k, v in view.vm.labels.items()) or "-",
    "NETWORK": lambda view: view.vm.network,
    "EGRESS": lambda view: _egress(view.vm),
    "PUBLISHED": lambda view: _published(view.vm) or "-",
    "PORTS": lambda view: _ports(view) or "-",
    "EXPOSED": lambda view: ", ".join(view.exposed or ()) or "-",
    "PID": lambda view: str(view.pid or "-"),
    "VMM": lambda view: view.running_vmm or view.vm.vmm,
    "ACCEL": lambda view: view.accel or "-",
    "CONSOLE": lambda view: view.console_log or "-",
}


LONGEST_PATH = 24
"""Characters of a path in a listing."""


def _template(vm: "Vm") -> str:
    return f"{vm.template} (from the pool)" if vm.from_pool else vm.template or "-"


def _workspace(vm: "Vm") -> str:
    """The first workspace, short, and how many more there are."""
    if not vm.workspaces:
        return "-"
    first, more = vm.workspaces[0], len(vm.workspaces) - 1
    paths = _short(first.guest_path), _short(_from_home(first.host_path))
    return " <- ".join(paths) + (f" +{more}" if more else "")


def _from_home(path: str) -> str:
    home = os.environ.get("HOME", "").rstrip("/")
    is_below = home and path.startswith(f"{home}/")
    return f"~{path[len(home) :]}" if is_below else path


def _short(path: str) -> str:
    """No more than the end of a long path."""
    return path if len(path) <= LONGEST_PATH else f"…{path[1 - LONGEST_PATH :]}"


def _placed(work: "Workspace") -> str:
    at = f" at {work.commit[:12]}" if work.commit else ""
    return f"{work.guest_path} <- {work.host_path}{at}" + (
        f" ({work.branch})" if work.branch else ""
    )


def _reason(view: "VmView") -> str:
    """A VM that is asleep is in no trouble."""
    vm = view.vm
    if vm.wakes and vm.state == "suspended":
        return f"asleep: {vm.reason}; it comes back when somebody uses it"
    return vm.reason or "-"


def _idle(view: "VmView") -> str:
    """The limit and whose it is, and what keeps the VM from being suspended now."""
    own, limit = view.vm.idle_suspend, "-"
    if own == 0:
        limit = "never"
    elif seconds := own or view.idle_limit:
        from shared.contract.durations import show_duration

        limit = show_duration(seconds) + (" by config.toml" if own is None else "")
    return f"{limit} (awake: {view.awake})" if view.awake else limit


def _ports(view: "VmView") -> str:
    return ", ".join(f"{guest} -> {port}" for guest, port in view.ports.items())


def _egress(vm: "Vm") -> str:
    from shared.contract.egress import show_egress

    return show_egress(vm.nat, vm.allow)


def _published(vm: "Vm") -> str:
    from shared.contract.publication import show_publication

    return ", ".join(map(show_publication, vm.publish))


def entry(view: "VmView") -> "ListEntry[VmView]":
    """A VM as ``-o json`` prints it: the fields of its row beside what was found to run."""
    found = {
        name: value for name, value in fields_of(view).items() if name not in ("vm", "command")
    }
    return ListEntry(view.vm.id, view.vm.name, {**fields_of(view.vm), **found}, view)


filter_option = click.option(
    "-f",
    "--filter",
    "filters",
    metavar="FILTER",
    multiple=True,
    help="List only the VMs that match: state=STATE, image=GLOB, name=GLOB, label=KEY, "
    "label=KEY=VALUE, or origin=GLOB for the VM or VM/SNAPSHOT that it is a copy of. Repeatable; a "
    "VM has to match all.",
)


@click.command("list")
@filter_option
@format_options
def list_(filters: tuple[str, ...], output: str, quiet: bool) -> None:
    """List VMs.

    \b
    Examples:
      banger vm list
      banger vm list --filter state=running --filter label=team=web
      banger vm list --filter origin=web
      banger vm ls -o json | jq -r '.[] | select(.vcpu > 2) | .name'
      banger vm delete $(banger vm list -q --filter 'name=ci-*')
    """
    _list(filters, output, quiet=quiet)


@click.command()
@filter_option
@format_options
def ps(filters: tuple[str, ...], output: str, quiet: bool) -> None:
    """List the running VMs.

    \b
    Examples:
      banger vm ps
      banger vm stop $(banger vm ps -q)
    """
    _list(("state=running", *filters), output, quiet=quiet)


def _list(filters: tuple[str, ...], output: str, *, quiet: bool) -> None:
    from cli.client.connection import ask

    views = ask(api.VM_LIST(filters=list(filters))).vms
    show_many([entry(view) for view in views], COLUMNS, output, quiet=quiet)


@click.command()
@click.argument("vm", shell_complete=vm_names)
@format_options
def show(vm: str, output: str, quiet: bool) -> None:
    """Show the details of a VM.

    \b
    Examples:
      banger vm show web
      banger vm show web -o json | jq .access
    """
    from cli.client.connection import ask

    view = ask(api.VM_SHOW(ref=vm))
    show_one(entry(view), DETAILS, output, quiet=quiet)
