"""``banger vm workspace status``, ``diff`` and ``list``: nothing is changed."""

import sys
from typing import TYPE_CHECKING

import click

from cli.client.completers import vm_names
from cli.client.operation import run_operation
from cli.commands.vm.options.workspace_options import prepared_vm, which_workspace
from cli.terminal.formatting import counted, show_time
from cli.terminal.output import colour, echo, note, output_format, print_json, print_table
from shared.bus.record import fields_of
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.vm import Vm
    from shared.contract.messages.workspace import Change, Workspace, WorkspaceStatus


@click.command()
@prepared_vm
@which_workspace
@output_format
def status(vm: str, guest_path: str, output: str) -> None:
    """Show what has changed in a VM's workspace since it was prepared, and on the host.

    With -o name, prints the names of the files that were changed in the guest.

    \b
    Examples:
      banger vm workspace status web
      banger vm workspace status web -o json | jq -r '.guest[].path'
    """
    told = run_operation(api.WORKSPACE_STATUS(ref=vm, guest_path=guest_path))
    if output == "json":
        print_json(fields_of(told))
    elif output == "name":
        for change in told.guest:
            echo(change.path)
    else:
        _print_status(told)


def _print_status(told: "WorkspaceStatus") -> None:
    rows = [
        [side, change.kind, path_of(change)]
        for side, changes in (("guest", told.guest), ("host", told.host))
        for change in changes
    ]
    if rows:
        print_table(["WHERE", "CHANGE", "PATH"], rows)
    for side, more in (("guest", told.guest_more), ("host", told.host_more)):
        if more:
            note(f"and {more} more changes in the {side}'s files")
    if told.guest_commits:
        branch = f" on {told.guest_branch}" if told.guest_branch else ""
        made = counted(told.guest_commits, "commit")
        were = "was" if told.guest_commits == 1 else "were"
        note(f"{made} {were} made in the guest{branch}")
    if told.host_commit and told.host_commit != told.workspace.head:
        note(f"the host's repository is at {told.host_commit[:12]}")
    if told.host_problem:
        note(f"warning: the host's repository cannot be read: {told.host_problem}")
    if not rows and not told.guest_commits:
        note("nothing has changed since it was prepared")


def path_of(change: "Change") -> str:
    return f"{change.old_path} -> {change.path}" if change.old_path else change.path


@click.command()
@prepared_vm
@which_workspace
def diff(vm: str, guest_path: str) -> None:
    """Show what was changed in a VM's workspace since it was prepared, as a patch.

    Commits, uncommitted edits and new files are all in it. On a terminal it goes through
    $BANGER_PAGER, $PAGER or less; elsewhere the patch is what git apply takes.

    \b
    Examples:
      banger vm workspace diff web
      banger vm workspace diff web | git apply --stat
    """
    from cli.terminal.output_file import unnamed_file
    from cli.terminal.pager import page
    from cli.terminal.patch_text import patch_lines

    with unnamed_file() as draft:
        request = api.WORKSPACE_EXPORT(
            ref=vm, guest_path=guest_path, output=draft.address, since_prepare=True
        )
        for sentence in run_operation(request).notices:
            note(sentence)
        if sys.stdout.isatty():
            painted = colour(sys.stdout)
            page(lambda: patch_lines(draft.file, colour=painted))
        else:
            draft.copy_to(sys.stdout.buffer)


@click.command("list")
@click.argument("vm", required=False, shell_complete=vm_names)
@output_format
def list_(vm: str | None, output: str) -> None:
    """List the workspaces of a VM, or of all VMs.

    With -o name, prints VM:DIR, as vm cp takes it.

    \b
    Examples:
      banger vm workspace list
      banger vm workspace list web -o json
    """
    from cli.client.connection import ask

    if vm is None:
        vms = [view.vm for view in ask(api.VM_LIST()).vms]
    else:
        vms = [ask(api.VM_SHOW(ref=vm)).vm]
    found = [(each, workspace) for each in vms for workspace in each.workspaces]
    if output == "json":
        print_json([{"vm": each.name, "id": each.id, **fields_of(work)} for each, work in found])
    elif output == "name":
        for each, work in found:
            echo(f"{each.name}:{work.guest_path}")
    else:
        header = ["VM", "GUEST PATH", "HOST PATH", "COMMIT", "BRANCH", "PREPARED"]
        print_table(header, [_row(each, work) for each, work in found])


def _row(vm: "Vm", work: "Workspace") -> list[str]:
    commit, branch = work.commit[:12] or "-", work.branch or "-"
    at = show_time(work.prepared_at) or "-"
    return [vm.name, work.guest_path, work.host_path, commit, branch, at]
