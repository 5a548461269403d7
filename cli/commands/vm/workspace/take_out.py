"""``banger vm workspace export``: what was done in the guest, as a file or in the repository."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from cli.client.operation import run_operation
from cli.commands.vm.options.workspace_options import prepared_vm, which_workspace
from cli.commands.vm.workspace.look import path_of
from cli.terminal.formatting import counted
from cli.terminal.output import echo, note
from shared.contract.verbs import api
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.messages.workspace import Applied, Exported

FORMATS = ("patch", "commits", "files")


@click.command()
@prepared_vm
@which_workspace
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    type=click.Path(),
    default="",
    help="Write to FILE, which appears when it is whole. Default: standard output.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="patch",
    show_default=True,
    help="patch: for git apply. commits: a mailbox for git am; with --apply, make the commits on "
    "the branch that is checked out. files: a tar archive of the changed files.",
)
@click.option(
    "--base-commit",
    "base",
    metavar="SHA",
    default="",
    help="The commit that the patch is against. Default: the one that was prepared.",
)
@click.option(
    "--since-prepare",
    is_flag=True,
    help="Leave out the host's own uncommitted edits: what changed in the guest since then.",
)
@click.option("--apply", is_flag=True, help="Merge the changes into the host's repository.")
@click.option(
    "--worktree",
    metavar="DIR",
    type=click.Path(),
    default="",
    help="Make a new git worktree of the host's repository, with the changes.",
)
@click.pass_context
def export(
    ctx: click.Context,
    /,
    vm: str,
    guest_path: str,
    file: str,
    form: str,
    base: str,
    since_prepare: bool,
    apply: bool,
    worktree: str,
) -> None:
    """Take out what was done in a VM's workspace. The guest keeps all of it.

    The patch holds commits, uncommitted edits and new files. With --apply, the changes are merged
    into the files of the host's repository, where they appear as uncommitted edits; files that
    host and guest have both changed are named, and nothing is done then.

    \b
    Examples:
      banger vm workspace export web -o web.patch
      banger vm workspace export web --format commits | git am
      banger vm workspace export web --apply
      banger vm workspace export web --worktree ../web-result
    """
    if apply or worktree:
        _refuse_output_options(ctx, file, base, form, since_prepare=since_prepare)
        directory = os.path.abspath(worktree) if worktree else ""  # noqa: PTH100
        show_applied(apply_changes(vm, guest_path, worktree=directory, commits=form == "commits"))
        return
    wanted: dict[str, Any] = {"format": form, "base": base, "since_prepare": since_prepare}
    if file in ("", "-"):
        _to_stdout(ctx, vm, guest_path, wanted)
    else:
        export_to(file, vm, guest_path, **wanted)


def _refuse_output_options(
    ctx: click.Context, file: str, base: str, form: str, *, since_prepare: bool
) -> None:
    given = {"-o": file, "--base-commit": base, "--since-prepare": since_prepare}
    for option, value in given.items():
        if value:
            raise click.UsageError(f"{option} and --apply or --worktree cannot be combined", ctx)
    if form == "files":
        raise click.UsageError("--format files cannot be applied", ctx)


def export_to(file: str, vm: str, guest_path: str, **wanted: Any) -> "Exported":
    """Write ``file`` whole or not at all. Raises as ``output_file``, and what the service says."""
    from cli.terminal.output_file import output_file

    with output_file(file) as draft:
        request = api.WORKSPACE_EXPORT(
            ref=vm, guest_path=guest_path, output=draft.address, **wanted
        )
        done = run_operation(request)
    _say(done)
    return done


def _to_stdout(ctx: click.Context, vm: str, guest_path: str, wanted: dict[str, Any]) -> None:
    """Not before it is whole, and to a terminal only what that prints."""
    from cli.terminal.output_file import unnamed_file
    from cli.terminal.patch_text import is_harmless

    on_terminal = sys.stdout.isatty()
    if on_terminal and wanted["format"] == "files":
        raise click.UsageError(
            "a tar archive is not written to a terminal: use -o FILE, or a pipe", ctx
        )
    with unnamed_file() as draft:
        request = api.WORKSPACE_EXPORT(
            ref=vm, guest_path=guest_path, output=draft.address, **wanted
        )
        _say(run_operation(request))
        if on_terminal and not is_harmless(draft.file):
            raise BangerError(
                Code.USAGE,
                "the patch holds control characters, which are not written to a terminal",
                hint=f"use -o FILE, or look at it with: banger vm workspace diff {vm}",
            )
        draft.copy_to(sys.stdout.buffer)


def _say(done: "Exported") -> None:
    for sentence in done.notices:
        note(sentence)
    if not done.changes and not done.commits:
        note("nothing has changed: the export is empty")


def apply_changes(
    vm: str, guest_path: str, *, worktree: str = "", commits: bool = False
) -> "Applied":
    """Merge them on the host. Raises ``conflict`` when they do not go together."""
    return run_operation(
        api.WORKSPACE_APPLY(ref=vm, guest_path=guest_path, worktree=worktree, commits=commits)
    )


def show_applied(done: "Applied") -> None:
    """The changed files to stdout, where they are now to stderr."""
    for change in done.changes:
        echo(f"{change.kind:<8}  {path_of(change)}")
    say_applied(done)


def say_applied(done: "Applied") -> None:
    """One line on stderr."""
    count = len(done.changes) + done.more
    changes = counted(count, "changed file")
    made = counted(done.commits, "commit") + ", " if done.commits else ""
    note(f"applied to {done.host_path}: {made}{changes}")
