"""``banger vm run``: create, start, work, and clean up as asked."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from cli.client.operation import LongRequest
from cli.commands.vm.options.creation_options import creation_options
from cli.parsing.guest_argv import TrailingCommand, trailing
from cli.parsing.param_types import Seconds, Variable
from cli.terminal.interrupted import Interrupted
from cli.terminal.output import Settings, note, report
from cli.terminal.signals import interrupts_raise, interrupts_wait
from shared.contract.verbs import api
from shared.errors import BangerError

if TYPE_CHECKING:
    from shared.contract.messages.vm import Vm, VmView


@click.command(cls=TrailingCommand)
@creation_options
@click.option("--rm", is_flag=True, help="Delete the VM at the end, whatever the status.")
@click.option("-d", "--detach", is_flag=True, help="Leave it running and print its name.")
@click.option("-e", "--env", type=Variable(), multiple=True, help="Variable of CMD; repeatable.")
@click.option(
    "--timeout",
    type=Seconds(min_open=True),
    help="End CMD when it runs for longer, and exit with 7.",
)
@click.pass_context
def run(
    ctx: click.Context,
    /,
    rm: bool,
    detach: bool,
    env: tuple[tuple[str, str], ...],
    timeout: float | None,
    **sizing: Any,
) -> int:
    """Create a VM, and open a shell or run a command in it.

    With a command after --, stdin, stdout and stderr are the command's and its exit status is
    ours. With --rm the VM is deleted at the end, also on Ctrl-C; a VM that never became ready is
    kept, so that one can look why. A command that is out of time gets TERM, and KILL 5 s later.

    \b
    Examples:
      banger vm run --rm
      banger vm run --rm --memory 4G -- sh -c 'uname -r; exit 42'
      banger vm run --rm --timeout 600 -- make test
      banger vm run -d --name web --nat -p 8080:80
    """
    argv = trailing(ctx)
    _refuse_contradictions(ctx, argv, rm=rm, detach=detach)
    if not argv and (env or timeout):
        option = "--env" if env else "--timeout"
        raise click.UsageError(f"{option} is for the command after --, and there is none", ctx)
    creation = LongRequest(api.VM_CREATE(**sizing, start=True))
    with interrupts_raise():
        if detach:
            return _run_detached(creation)
        return _run_attached(creation, argv, dict(env), timeout, rm=rm)


def _refuse_contradictions(
    ctx: click.Context, argv: tuple[str, ...], *, rm: bool, detach: bool
) -> None:
    """Before anything is created."""
    if detach and rm:
        raise click.UsageError("--detach leaves the VM running, --rm deletes it: choose one", ctx)
    if detach and argv:
        raise click.UsageError(
            "--detach does not wait for a command; start it with banger vm exec afterwards", ctx
        )


def _run_detached(creation: "LongRequest[VmView]") -> int:
    try:
        click.echo(_create(creation, rm=False).vm.name)
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
    *,
    rm: bool,
) -> int:
    from cli.guest.session import access_of, run_command, run_shell

    try:
        access = access_of(_create(creation, rm=rm))
        if argv:
            return run_command(access, argv, env=env, seconds=seconds)
        return run_shell(access)
    finally:
        if creation.result:  # from the moment on that there is a VM, whatever was raised
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
            note(f"{kept} is kept in spite of --rm: it never became ready")
        raise


def _delete(vm: "Vm") -> None:
    """Its failure is reported, but the exit status is that of what the user ran."""
    from cli.client.connection import ask_again

    with interrupts_wait():
        try:
            ask_again(api.VM_DELETE(ref=vm.id))
        except BangerError as error:
            note(f"{vm.name} could not be deleted; do it with: banger vm delete {vm.name}")
            report(error, Settings())


def _say_what_is_left(vm: "Vm") -> None:
    from cli.client.connection import ask_again

    with suppress(BangerError, Interrupted):
        now = ask_again(api.VM_SHOW(ref=vm.id)).vm
        if now.state == "running":
            note(
                f"{now.name} is still running: banger vm ssh {now.name} | banger vm stop {now.name}"
            )
