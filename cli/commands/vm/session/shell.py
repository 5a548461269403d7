"""``banger vm ssh`` and ``banger vm exec``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.client.completers import vm_names
from cli.parsing.guest_argv import TrailingCommand, trailing
from cli.parsing.param_types import Variable
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.ssh_access import Access

force_tty = click.option("-t", "--tty", is_flag=True, help="Allocate a terminal in any case.")


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("vm", shell_complete=vm_names)
@click.argument("command", metavar="[CMD...]", nargs=-1, type=click.UNPROCESSED)
@force_tty
@click.pass_context
def ssh(ctx: click.Context, vm: str, command: tuple[str, ...], tty: bool) -> int:
    """Open a shell in a VM, or run a command there.

    Unlike with ssh(1), the words of the command reach the guest unchanged, without a shell in
    between; use sh -c '...' for pipes and variables. Everything after VM belongs to the command.

    \b
    Examples:
      banger vm ssh web
      banger vm ssh web journalctl -f
      banger vm ssh web sh -c 'ls | wc -l'
    """
    from cli.guest.session import run_command, run_shell

    if command and command[0].startswith("-") and command[0] != "--":
        raise click.UsageError(
            f"option {command[0]} must come before VM; put -- before a guest command "
            "that begins with a dash",
            ctx,
        )
    argv = command[1:] if command[:1] == ("--",) else command
    access = reach(vm)
    if argv:
        return run_command(access, argv, tty=tty or None)
    return run_shell(access, tty=tty or None)


@click.command("exec", cls=TrailingCommand)
@click.argument("vm", shell_complete=vm_names)
@click.option(
    "-w", "--workdir", metavar="DIR", default="", help="Working directory of the command."
)
@click.option(
    "-e",
    "--env",
    type=Variable(),
    multiple=True,
    help="Set an environment variable of the command. Repeatable.",
)
@force_tty
@click.pass_context
def exec_(
    ctx: click.Context, vm: str, workdir: str, env: tuple[tuple[str, str], ...], tty: bool
) -> int:
    """Run a command in a VM, and exit with its exit status.

    The words after -- reach the guest unchanged, without a shell in between; use sh -c '...' for
    pipes and variables. The command gets a terminal if standard input and standard output are
    terminals, or with -t.

    \b
    Examples:
      banger vm exec web -- systemctl is-active nginx
      banger vm exec web -w /srv -e STAGE=test -- sh -c 'make check | tail'
      tar c . | banger vm exec web -- tar x -C /root
    """
    from cli.guest.session import run_command

    argv = trailing(ctx)
    if not argv:
        raise click.UsageError("missing command: put it after --", ctx)
    return run_command(reach(vm), argv, cwd=workdir, env=dict(env), tty=tty or None)


def reach(ref: str) -> Access:
    """How to reach the VM that ``ref`` means; raises ``not_running`` when it does not run."""
    from cli.client.connection import ask
    from cli.guest.session import access_of

    return access_of(ask(api.VM_ACCESS(ref=ref)))
