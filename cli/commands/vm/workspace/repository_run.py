"""The repository of ``vm run PATH``: in before the command, out after it."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from cli.client.completers import snapshots_or_vms
from cli.commands.vm.options.workspace_options import NAMES, dry_run_option, options_of_run
from cli.commands.vm.snapshot.place import split
from cli.parsing.param_types import Words
from cli.terminal.interrupted import Interrupted
from cli.terminal.output import Settings, note, report
from shared.contract.reference import by_id
from shared.contract.verbs import api
from shared.contract.workspaces import find_workspace
from shared.errors import BangerError

if TYPE_CHECKING:
    from shared.contract.messages.vm import Vm

Command = TypeVar("Command", bound=Callable[..., Any])

OPTIONS = (
    click.argument("path", type=click.Path(), required=False),
    options_of_run,
    click.option(
        "--from",
        "origin",
        metavar="VM[/SNAPSHOT]",
        type=Words(),
        help="Start from a copy of a VM, or of one of its snapshots. With --branch and without "
        "--branch-from, this is not a VM but the revision that the branch begins at.",
        shell_complete=snapshots_or_vms,
    ),
    dry_run_option,
    click.option(
        "--export",
        metavar="FILE",
        type=click.Path(),
        default="",
        help="Afterwards write what was changed in the guest to FILE, as a patch.",
    ),
    click.option(
        "--apply",
        is_flag=True,
        help="Afterwards merge what was changed in the guest into the repository.",
    ),
)


OF_A_COPY = ("--export", "--apply", "--guest-path")
"""What a copy of a VM with a workspace needs no PATH for."""


class RepositoryRun:
    """``failed``: what was done in the guest was not taken out, so the VM must stay. An empty
    ``path``: the workspace that the VM has as a copy of another."""

    def __init__(
        self, path: str, choice: Mapping[str, Any], *, dry_run: bool, export: str, apply: bool
    ) -> None:
        self.dry_run = dry_run
        self.takes_out = bool(export or apply)
        self.failed = False
        self.guest_path = ""
        self._path = path
        self._choice = choice
        self._export = export
        self._apply = apply
        self._said: set[str] = set()

    def plan(self, *, outside: bool) -> None:
        """Say what will be done. What can be refused is refused here, before there is a VM."""
        from cli.commands.vm.workspace.plan import announce, ask_plan, host_path
        from cli.terminal.output_file import check_output_file

        if self._export:
            check_output_file(self._export)
        if not self._path:
            return
        self._path = host_path(self._path)
        planned = ask_plan(self._path, self._choice, outside=outside)
        announce(planned)
        self._said = set(planned.notices)

    def show_plan(self, *, outside: bool) -> None:
        """For ``--dry-run``."""
        from cli.commands.vm.workspace.plan import host_path, show_plan

        show_plan(host_path(self._path), self._choice, "table", outside=outside)

    def prepare(self, vm: "Vm", *, wait_for_tools: bool) -> None:
        """Place it in the VM, and say so on stderr. Raises as ``find_workspace`` for a copy."""
        from cli.client.operation import run_operation
        from cli.commands.vm.workspace.place import say_notices, what_was_sent

        if not self._path:
            guest_path = self._choice.get("guest_path", "")
            self.guest_path = find_workspace(vm, guest_path).guest_path
            return
        request = api.WORKSPACE_PREPARE(
            ref=by_id(vm.id), path=self._path, wait_for_tools=wait_for_tools, **self._choice
        )
        done = run_operation(request)
        self.guest_path = done.workspace.guest_path
        note(f"workspace: {self.guest_path} is {what_was_sent(done)}")
        say_notices(vm.name, done, but=self._said)

    def take_out(self, vm: "Vm") -> bool:
        """Export and apply, as far as asked for; whether all of it was done. Failures are reported.

        Raises:
            Interrupted: a signal came; then it was not done.
        """
        steps = [self._write] if self._export else []
        steps += [self._merge] if self._apply else []
        try:
            for step in steps:
                step(by_id(vm.id))
        except BangerError as error:
            report(error, Settings())
            self.failed = True
        except Interrupted:
            self.failed = True
            raise
        return not self.failed

    def _write(self, ref: str) -> None:
        from cli.commands.vm.workspace.take_out import export_to

        export_to(self._export, ref, self.guest_path)

    def _merge(self, ref: str) -> None:
        from cli.commands.vm.workspace.take_out import apply_changes, say_applied

        say_applied(apply_changes(ref, self.guest_path))


def _refuse_without_path(given: Mapping[str, bool], *, of_a_copy: bool) -> None:
    free = OF_A_COPY if of_a_copy else ()
    for option, is_given in given.items():
        if is_given and option not in free:
            raise click.UsageError(f"{option} needs PATH", click.get_current_context())


def repository_options(command: Command) -> Command:
    """Add PATH, its options and ``--from``. The command gets ``repository``, None without PATH,
    and with ``--from`` the fields of VmCreate that say what the VM is a copy of.

    Raises ``UsageError`` for an option that needs PATH.
    """

    @wraps(command)
    def with_repository(
        *arguments: Any,
        path: str | None,
        choice: dict[str, Any],
        origin: str | None,
        dry_run: bool,
        export: str,
        apply: bool,
        **others: Any,
    ) -> Any:
        source = {}
        if origin and "branch" in choice and "start" not in choice:
            choice["start"] = origin
        elif origin:
            if others.get("image"):
                ctx = click.get_current_context()
                raise click.UsageError("--from and --image cannot be combined", ctx)
            source = dict(zip(("from_vm", "from_snapshot"), split(origin), strict=True))
        takes_out = bool(export or apply)
        if path is None:
            given = {NAMES[field]: True for field in choice}
            given |= {"--dry-run": dry_run, "--export": bool(export), "--apply": apply}
            _refuse_without_path(given, of_a_copy=bool(source) and takes_out)
        if export == "-":
            ctx = click.get_current_context()
            raise click.UsageError("--export needs a file: standard output is the command's", ctx)
        repository = None
        if path is not None or (source and takes_out):
            place = path or ""
            repository = RepositoryRun(place, choice, dry_run=dry_run, export=export, apply=apply)
        return command(*arguments, repository=repository, **source, **others)

    decorated: Any = with_repository
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return cast(Command, decorated)
