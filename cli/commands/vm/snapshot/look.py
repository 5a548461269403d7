"""``banger vm snapshot list`` and ``show``."""

from typing import TYPE_CHECKING

import click

from cli.client.completers import vm_names
from cli.commands.vm.snapshot.place import its_name, its_vm, one_snapshot
from cli.terminal.formatting import show_size, show_time
from cli.terminal.output import Columns, ListEntry, format_options, note, show_many, show_one
from shared.bus.record import fields_of
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.snapshot import Snapshot

MIB = 1024 * 1024

COLUMNS: "Columns[Snapshot]" = {
    "VM": lambda shot: shot.vm_name,
    "NAME": lambda shot: shot.name,
    "MEMORY": lambda shot: show_size(shot.memory_mib * MIB) if shot.memory else "-",
    "SIZE": lambda shot: show_size(shot.real_bytes),
    "CREATED": lambda shot: show_time(shot.created_at),
}

DETAILS: "Columns[Snapshot]" = {
    **COLUMNS,
    "IMAGE": lambda shot: shot.image_name,
    "VCPU": lambda shot: str(shot.vcpu),
    "VMM": lambda shot: f"{shot.vmm} {shot.vmm_version}".strip() or "-",
    "CPU": lambda shot: shot.cpu or "-",
    "COPIED": lambda shot: f"as {shot.copied} files" if shot.copied == "sparse" else "by reflink",
    "PAUSE": lambda shot: f"{shot.pause_seconds:.2f} s",
    "PROBLEM": lambda shot: "; ".join(shot.problems) or "-",
}


def entry(shot: "Snapshot") -> "ListEntry[Snapshot]":
    """Its id is VM/NAME, which is how other commands take it."""
    return ListEntry(f"{shot.vm_name}/{shot.name}", shot.name, fields_of(shot), shot)


@click.command("list")
@click.argument("vm", metavar="[VM]", required=False, shell_complete=vm_names)
@format_options
def list_(vm: str | None, output: str, quiet: bool) -> None:
    """List the snapshots of a VM. Without VM, lists those of all VMs.

    SIZE is the space that a snapshot takes on disk. MEMORY is the size of the guest's memory, or
    "-" for a snapshot of disks only. -q prints VM/NAME. A snapshot that this host cannot restore
    is named on standard error.

    \b
    Examples:
      banger vm snapshot list web
      banger vm snapshot ls -o json | jq -r '.[] | select(.memory) | .name'
    """
    from cli.client.connection import ask

    shots = ask(api.SNAPSHOT_LIST(ref=vm or "")).snapshots
    for shot in shots:
        for problem in shot.problems:
            note(f"warning: {shot.vm_name}/{shot.name}: {problem}")
    show_many([entry(shot) for shot in shots], COLUMNS, output, quiet=quiet)


@click.command()
@its_vm
@its_name
@format_options
def show(vm: str, name: str | None, output: str, quiet: bool) -> None:
    """Show the details of a snapshot, and check its files.

    PROBLEM says what is damaged, and why this host cannot restore the snapshot.

    \b
    Examples:
      banger vm snapshot show web clean
      banger vm snapshot show web/clean -o json | jq .problems
    """
    from cli.client.connection import ask

    vm, name = one_snapshot(vm, name)
    shown = ask(api.SNAPSHOT_SHOW(ref=vm, name=name))
    show_one(entry(shown), DETAILS, output, quiet=quiet)
