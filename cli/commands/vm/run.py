"""``banger vm run``: create, start, work, and clean up as asked."""

from contextlib import suppress
from typing import Any

import click

from cli.client.operation import Finished
from cli.commands.vm.inspect.show import flatten
from cli.commands.vm.options.creation_options import create_vm, creation_options
from cli.parsing.guest_argv import TrailingCommand, trailing
from cli.parsing.param_types import Seconds, Variable
from cli.terminal.output import Settings, note, report
from cli.terminal.signals import Interrupted, interrupts_raise, interrupts_wait
from shared.errors import BangerError

DELETE_SECONDS = 60.0


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
    made: list[dict[str, Any]] = []
    with interrupts_raise():
        try:
            vm = _create(sizing, made, rm=rm)
            if detach:
                click.echo(vm["name"])
                made.clear()  # it has been told of
                return 0
            return _work(vm, argv, dict(env), timeout)
        finally:
            for view in made:
                _clean_up(view["vm"], rm=rm)


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


def _create(sizing: dict[str, Any], made: list[dict[str, Any]], *, rm: bool) -> dict[str, Any]:
    """The VM; its view is in ``made`` from the moment on that there is one, whatever is raised."""
    from cli.client.connection import connect

    try:
        with connect() as client:
            return flatten(create_vm(client, {**sizing, "start": True}, made.append))
    except Finished as late:
        made[:] = [late.result]
        raise
    except BangerError as error:
        kept = error.details.get("kept")
        if kept and rm:
            note(f"{kept} is kept in spite of --rm: it never became ready")
        raise


def _work(
    vm: dict[str, Any], argv: tuple[str, ...], env: dict[str, str], seconds: float | None
) -> int:
    from cli.guest.session import access_of, run_command, run_shell

    access = access_of(vm)
    return run_command(access, argv, env=env, seconds=seconds) if argv else run_shell(access)


def _clean_up(row: dict[str, Any], *, rm: bool) -> None:
    if rm:
        _delete(row)
    else:
        _say_what_is_left(row["id"])


def _delete(vm: dict[str, Any]) -> None:
    """Its failure is told, but the status of what the user ran is what counts."""
    from cli.client.connection import connect

    with interrupts_wait():
        try:
            with connect() as client:
                client.call("api", "vm.delete", {"ref": vm["id"]}, timeout=DELETE_SECONDS)
        except BangerError as error:
            note(f"{vm['name']} could not be deleted; do it with: banger vm delete {vm['name']}")
            report(error, Settings())


def _say_what_is_left(vm_id: str) -> None:
    from cli.client.connection import connect

    with suppress(BangerError, Interrupted), connect() as client:
        vm = client.call("api", "vm.show", {"ref": vm_id})["vm"]
        name = vm["name"]
        if vm["state"] == "running":
            note(f"{name} is still running: banger vm ssh {name} | banger vm stop {name}")
