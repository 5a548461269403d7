"""``banger vm run``: create a VM, work in it, and clean up."""

from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import click

from cli.client.lease import lease
from cli.client.operation import LongRequest
from cli.commands.vm.options.command_options import as_user, env, env_file, variables
from cli.commands.vm.options.creation_options import creation_options
from cli.parsing.guest_argv import TrailingCommand, trailing
from cli.parsing.param_types import Seconds
from cli.terminal.interrupted import Interrupted
from cli.terminal.output import Settings, echo, note, report
from cli.terminal.signals import interrupts_raise, interrupts_wait
from shared.contract.reference import by_id
from shared.contract.verbs import api
from shared.errors import BangerError

if TYPE_CHECKING:
    from shared.contract.messages.vm import Vm, VmView


@click.command(cls=TrailingCommand)
@creation_options
@click.option("--rm", is_flag=True, help="Delete the VM at exit.")
@click.option("-d", "--detach", is_flag=True, help="Leave the VM running and print its name.")
@env
@env_file
@as_user
@click.option(
    "--timeout",
    type=Seconds(min_open=True),
    help="Terminate CMD after this time, and exit with 7.",
)
@click.pass_context
def run(
    ctx: click.Context,
    /,
    rm: bool,
    detach: bool,
    env: tuple[tuple[str, str | None], ...],
    env_file: tuple[str, ...],
    user: str,
    timeout: float | None,
    **sizing: Any,
) -> int:
    """Create a VM, and open a shell or run a command in it.

    Without a command, opens a login shell. With one, connects standard input, output and error to
    it, and exits with its exit status. With --rm, the VM is deleted at exit, also after Ctrl-C and
    when this command is killed; a VM that never became ready is kept for inspection. With
    --timeout, CMD gets SIGTERM when time is up, and SIGKILL 5 s later.

    \b
    Examples:
      banger vm run --rm
      banger vm run --rm --memory 4G -- sh -c 'uname -r; exit 42'
      banger vm run --rm --timeout 600 -- make test
      banger vm run -d --name web --nat -p 8080:80
    """
    argv = trailing(ctx)
    _refuse_contradictions(ctx, argv, rm=rm, detach=detach)
    chosen = variables(env_file, env)
    _refuse_options_without_command(
        ctx, argv, {"--env": env, "--env-file": env_file, "--timeout": timeout}
    )
    with interrupts_raise(), lease() if rm else nullcontext("") as held:
        if held:
            sizing["lease"] = held
        creation = LongRequest(api.VM_CREATE(**sizing, start=True))
        if detach:
            return _run_detached(creation)
        return _run_attached(creation, argv, chosen, timeout, user, rm=rm)


def _refuse_contradictions(
    ctx: click.Context, argv: tuple[str, ...], *, rm: bool, detach: bool
) -> None:
    """Before anything is created."""
    if detach and rm:
        raise click.UsageError("--detach and --rm cannot be combined", ctx)
    if detach and argv:
        raise click.UsageError(
            "--detach takes no command; run it afterwards with: banger vm exec", ctx
        )


def _refuse_options_without_command(
    ctx: click.Context, argv: tuple[str, ...], given: dict[str, object]
) -> None:
    for option, value in given.items():
        if value and not argv:
            raise click.UsageError(f"{option} needs a command after --", ctx)


def _run_detached(creation: "LongRequest[VmView]") -> int:
    try:
        echo(_create(creation, rm=False).vm.name)
    except Interrupted:
        if creation.result:
            _say_what_is_left(creation.result.vm)
        raise
    return 0


def _run_attached(
    creation: "LongRequest[VmView]",
    argv: tuple[str, ...],
    env: dict[str, str],
    seconds: float | None,
    user: str,
    *,
    rm: bool,
) -> int:
    from cli.client.lost_session import explained
    from cli.commands.vm.session.second_way import run_in_guest
    from cli.guest.session import access_of, run_shell

    try:
        access = access_of(_create(creation, rm=rm))
        if argv:
            return run_in_guest(access, argv, env=env, seconds=seconds, user=user)
        with explained():
            return run_shell(access, user=user)
    finally:
        if creation.result:  # whatever was raised
            clean_up = _delete if rm else _say_what_is_left
            clean_up(creation.result.vm)


def _create(creation: "LongRequest[VmView]", *, rm: bool) -> "VmView":
    from cli.client.connection import connect

    try:
        with connect() as client:
            return creation.complete(client)
    except BangerError as error:
        kept = error.details.get("kept")
        if kept and rm:
            note(
                f"Keeping {kept} despite --rm: it never became ready. "
                f"Delete it with: banger vm delete {kept}"
            )
        raise


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
