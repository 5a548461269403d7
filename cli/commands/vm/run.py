"""``banger vm run``: create a VM, work in it, and clean up."""

import sys
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cli.client.batch import say_notices
from cli.client.lease import lease
from cli.client.operation import LongRequest
from cli.commands.vm.options.command_options import as_user, env, env_file, variables
from cli.commands.vm.options.creation_options import creation_options
from cli.commands.vm.workspace.repository_run import RepositoryRun, repository_options
from cli.guest.image_command import Wish
from cli.parsing.guest_argv import TrailingCommand, trailing
from cli.parsing.param_types import Seconds
from cli.terminal.interrupted import Interrupted
from cli.terminal.output import Settings, echo, note, report
from cli.terminal.signals import interrupts_raise, interrupts_wait
from shared.contract.guest_command import GuestCommand, in_workspace
from shared.contract.reference import by_id
from shared.contract.verbs import api
from shared.contract.workspaces import first_workspace
from shared.errors import BangerError

if TYPE_CHECKING:
    from shared.contract.messages.vm import Vm, VmView
    from shared.contract.ssh_access import Access


@click.command(cls=TrailingCommand)
@repository_options
@creation_options
@click.option("--rm", is_flag=True, help="Delete the VM at exit.")
@click.option("-d", "--detach", is_flag=True, help="Leave the VM running and print its name.")
@env
@env_file
@as_user
@click.option(
    "--entrypoint",
    metavar="PROG",
    help="Run PROG in place of the image's entrypoint; '' is none at all.",
)
@click.option(
    "--timeout",
    type=Seconds(min_open=True),
    help="Terminate CMD after this time, and exit with 7.",
)
@click.pass_context
def run(
    ctx: click.Context,
    /,
    repository: RepositoryRun | None,
    rm: bool,
    detach: bool,
    env: tuple[tuple[str, str | None], ...],
    env_file: tuple[str, ...],
    user: str,
    entrypoint: str | None,
    timeout: float | None,
    **sizing: Any,
) -> int:
    """Create a VM, and open a shell or run a command in it.

    Without a command, opens a login shell. With one, connects standard input, output and error to
    it, and exits with its exit status. With PATH, the git repository around PATH is placed at
    /root/repo before, as banger vm workspace prepare does, and shell and command start there.

    With --from, the new VM begins as a copy of another VM or of a snapshot, whose programs go on
    running in it. Shell and command start in its workspace, if it has one: PATH brings that up to
    date, and --export and --apply work without PATH.

    If the image was made for containers, its entrypoint, variables, user and working directory
    count as with docker run: CMD is what its entrypoint is given. Without CMD, and if standard
    input is no terminal, what the container would run is run.

    With --rm, the VM is deleted at exit, also after Ctrl-C and when this command is killed. A VM
    that never became ready is kept, and so is one whose changes could not be taken out. With
    --timeout, CMD gets SIGTERM when time is up, and SIGKILL 5 s later.

    \b
    Examples:
      banger vm run --rm --memory 4G -- sh -c 'uname -r; exit 42'
      banger vm run --rm . -- make test
      banger vm run --rm . --nat --apply -- ./fix-everything
      banger vm run --rm --image python:3.12 -- python -c 'print(6 * 7)'
      banger vm run --rm --from web/clean --apply -- make fix
      banger vm run -d --name web --nat -p 8080:80
    """
    argv, shell = trailing(ctx), sys.stdin.isatty()
    wish = Wish(argv, variables(env_file, env), user, "", entrypoint, shell)
    work = _Work(wish, timeout)
    _refuse_contradictions(ctx, work, repository, rm=rm, detach=detach)
    return _run(sizing, work, repository, rm=rm, detach=detach)


class _Work(NamedTuple):
    """What is run in the guest, and how long it may take."""

    wish: Wish
    seconds: float | None


def _refuse_contradictions(
    ctx: click.Context,
    work: _Work,
    repository: RepositoryRun | None,
    *,
    rm: bool,
    detach: bool,
) -> None:
    """Before anything is created."""
    wish = work.wish
    if detach and rm:
        raise click.UsageError("--detach and --rm cannot be combined", ctx)
    if detach and wish.argv:
        raise click.UsageError(
            "--detach takes no command; run it afterwards with: banger vm exec", ctx
        )
    if detach and repository and repository.takes_out:
        raise click.UsageError("--detach cannot be combined with --export or --apply", ctx)
    if wish.shell and work.seconds and not wish.argv and wish.entrypoint is None:
        raise click.UsageError("--timeout needs a command after --", ctx)
    if detach:
        _refuse_with_detach(ctx)


def _refuse_with_detach(ctx: click.Context) -> None:
    """Options of a command, where none is run."""
    for option in ("env", "env_file", "timeout", "entrypoint"):
        if ctx.params[option] not in (None, ()):
            name = option.replace("_", "-")
            raise click.UsageError(f"--detach and --{name} cannot be combined", ctx)


def _run(
    sizing: dict[str, Any],
    work: _Work,
    repository: RepositoryRun | None,
    *,
    rm: bool,
    detach: bool,
) -> int:
    outside = bool(sizing.get("nat") or sizing.get("allow"))
    if repository and repository.dry_run:
        repository.show_plan(outside=outside)
        return 0
    with interrupts_raise():
        if repository:
            repository.plan(outside=outside)
        with lease() if rm else nullcontext("") as held:
            if held:
                sizing["lease"] = held
            if not detach:
                sizing["command"] = work.wish.fields()
            creation = LongRequest(api.VM_CREATE(**sizing, start=True))
            if detach:
                return _run_detached(creation, repository)
            return _run_attached(creation, work, repository, rm=rm)


def _run_detached(creation: "LongRequest[VmView]", repository: RepositoryRun | None) -> int:
    try:
        vm = _create(creation, rm=False).vm
        if repository:
            repository.prepare(vm, wait_for_tools=True)
        echo(vm.name)
    except (BangerError, Interrupted):
        if creation.result:
            _say_what_is_left(creation.result.vm)
        raise
    return 0


def _run_attached(
    creation: "LongRequest[VmView]", work: _Work, repository: RepositoryRun | None, *, rm: bool
) -> int:
    from cli.guest.session import access_of

    try:
        view = _create(creation, rm=rm)
        access = access_of(view)
        command = work.wish.command(view.command)
        if repository is None:
            return _run_in(access, in_workspace(command, first_workspace(view.vm)), work.seconds)
        repository.prepare(view.vm, wait_for_tools=False)
        command = in_workspace(command, repository.guest_path)
        return _work_and_take_out(view.vm, access, command, work.seconds, repository)
    finally:
        if creation.result:  # whatever was raised
            _clean_up(creation.result.vm, repository, rm=rm)


def _run_in(access: "Access", command: GuestCommand, seconds: float | None) -> int:
    from cli.client.lost_session import explained
    from cli.commands.vm.session.second_way import run_in_guest
    from cli.guest.session import run_shell

    if command.argv or seconds:
        return run_in_guest(access, command, seconds=seconds)
    with explained():
        return run_shell(access, command)


def _work_and_take_out(
    vm: "Vm",
    access: "Access",
    command: GuestCommand,
    seconds: float | None,
    repository: RepositoryRun,
) -> int:
    """The command's status, or 1 when only what comes after it failed. What a command has done that
    failed, or that was ended, is taken out too."""
    try:
        status = _run_in(access, command, seconds)
    except BangerError:
        repository.take_out(vm)
        raise
    taken = repository.take_out(vm)
    return status or (0 if taken else 1)


def _clean_up(vm: "Vm", repository: RepositoryRun | None, *, rm: bool) -> None:
    if not rm:
        _say_what_is_left(vm)
    elif repository and repository.failed:
        _keep(vm)
    else:
        _delete(vm)


def _keep(vm: "Vm") -> None:
    """Its lease would end with this command, and the VM with it."""
    from cli.client.connection import ask_again

    with interrupts_wait():
        try:
            ask_again(api.VM_KEEP(ref=by_id(vm.id)))
        except BangerError as error:
            note(f"{vm.name} cannot be kept: the services delete it when they are back")
            report(error, Settings())
            return
    note(
        f"Keeping {vm.name} despite --rm: what was done in it was not taken out. "
        f"Try again with: banger vm workspace export {vm.name}; "
        f"delete it with: banger vm delete {vm.name}"
    )


def _create(creation: "LongRequest[VmView]", *, rm: bool) -> "VmView":
    from cli.client.connection import connect

    try:
        with connect() as client:
            view = creation.complete(client)
    except BangerError as error:
        kept = error.details.get("kept")
        if kept and rm:
            note(
                f"Keeping {kept} despite --rm: it never became ready. "
                f"Delete it with: banger vm delete {kept}"
            )
        raise
    say_notices([view])
    return view


def _delete(vm: "Vm") -> None:
    """Its failure is reported, but the exit status is that of what the user ran."""
    from cli.client.connection import ask_again

    with interrupts_wait():
        try:
            ask_again(api.VM_DELETE(ref=by_id(vm.id)))
        except BangerError as error:
            note(f"{vm.name} is not deleted yet. The services try again; see: banger vm list")
            report(error, Settings())


def _say_what_is_left(vm: "Vm") -> None:
    from cli.client.connection import ask_again

    with suppress(BangerError, Interrupted):
        now = ask_again(api.VM_SHOW(ref=by_id(vm.id))).vm
        if now.state == "running":
            note(f"{now.name} is still running. Stop it with: banger vm stop {now.name}")
