"""``banger vm workspace prepare`` and ``sync``."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from cli.client.operation import run_operation
from cli.commands.vm.options.workspace_options import (
    dry_run_option,
    prepared_vm,
    which_workspace,
    workspace_options,
)
from cli.terminal.formatting import counted, show_size
from cli.terminal.output import echo, note, output_format, print_json
from shared.bus.record import fields_of
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.workspace import Prepared

force_option = click.option("--force", is_flag=True, help="Overwrite what the guest has changed.")


@click.command()
@prepared_vm
@click.argument("path", type=click.Path(), default=".")
@workspace_options
@force_option
@dry_run_option
@output_format
def prepare(
    vm: str, path: str, choice: dict[str, Any], force: bool, dry_run: bool, output: str
) -> None:
    """Place the git repository around PATH in a running VM.

    Tracked files go in as they are in the work tree, uncommitted edits included, with the last 10
    commits of the history. Ignored files are never sent. PATH defaults to the current directory. A
    second prepare sends only what has changed since, and refuses to overwrite files that were
    changed in the guest.

    \b
    Examples:
      banger vm workspace prepare web
      banger vm workspace prepare web ~/src/api --guest-path /root/api
      banger vm workspace prepare web --branch try --from main
      banger vm workspace prepare web --dry-run
    """
    from cli.commands.vm.workspace.plan import host_path, show_plan

    top = host_path(path)
    if dry_run:
        show_plan(top, choice, output, outside=_reaches_outside(vm))
        return
    done = run_operation(api.WORKSPACE_PREPARE(ref=vm, path=top, force=force, **choice))
    show_prepared(vm, done, output)


@click.command()
@prepared_vm
@which_workspace
@force_option
@output_format
def sync(vm: str, guest_path: str, force: bool, output: str) -> None:
    """Bring later changes of the host's repository into a VM.

    Only what has changed is sent. Files that host and guest have both changed are named, and
    nothing is done then; --force overwrites them.

    \b
    Examples:
      banger vm workspace sync web
      banger vm workspace sync web --guest-path /root/api --force
    """
    done = run_operation(api.WORKSPACE_SYNC(ref=vm, guest_path=guest_path, force=force))
    show_prepared(vm, done, output)


def show_prepared(vm: str, done: "Prepared", output: str) -> None:
    """Notices to stderr, what was placed to stdout."""
    say_notices(vm, done)
    place = f"{vm}:{done.workspace.guest_path}"
    if output == "json":
        print_json(fields_of(done))
    elif output == "name":
        echo(place)
    else:
        echo(f"{place}  {what_was_sent(done)}")


def say_notices(vm: str, done: "Prepared", *, but: Collection[str] = ()) -> None:
    """Those that are not among ``but``, which have been said."""
    for sentence in done.notices:
        if sentence not in but:
            note(sentence)
    if done.tools_log:
        note(f"tools: see their log with: banger vm exec {vm} -- tail -f {done.tools_log}")


def what_was_sent(done: "Prepared") -> str:
    at = f" at {done.workspace.commit[:12]}" if done.workspace.commit else ""
    gone = f", {done.removed} removed" if done.removed else ""
    files = counted(done.files, "file")
    return f"{done.workspace.host_path}{at}: {files}{gone} ({show_size(done.bytes)} sent)"


def _reaches_outside(ref: str) -> bool:
    from cli.client.connection import ask

    vm = ask(api.VM_SHOW(ref=ref)).vm
    return bool(vm.nat or vm.allow)
