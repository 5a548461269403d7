"""``banger vm ssh`` and ``banger vm exec``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.client.completers import vm_names
from cli.commands.vm.options.command_options import (
    as_user,
    env,
    env_file,
    force_tty,
    interactive,
    no_stdin,
    variables,
)
from cli.guest.image_command import Wish
from cli.parsing.guest_argv import TrailingCommand, trailing
from cli.terminal.output import note
from shared.contract.guest_command import GuestCommand, in_workspace
from shared.contract.verbs import api
from shared.contract.workspaces import first_workspace

if TYPE_CHECKING:
    from shared.contract.messages.vm import VmView
    from shared.contract.ssh_access import Access


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("vm", shell_complete=vm_names)
@click.argument("command", metavar="[CMD...]", nargs=-1, type=click.UNPROCESSED)
@force_tty
@as_user
@click.pass_context
def ssh(ctx: click.Context, vm: str, command: tuple[str, ...], tty: bool, user: str) -> int:
    """Open a shell in a VM, or run a command there.

    Unlike with ssh(1), the words of the command reach the guest unchanged, without a shell in
    between; use sh -c '...' for pipes and variables. Everything after VM belongs to the command.

    \b
    Examples:
      banger vm ssh web
      banger vm ssh web journalctl -f
      banger vm ssh web sh -c 'ls | wc -l'
    """
    from cli.client.lost_session import explained
    from cli.commands.vm.session.second_way import run_in_guest
    from cli.guest.session import run_shell

    if command and command[0].startswith("-") and command[0] != "--":
        raise click.UsageError(
            f"option {command[0]} must come before VM; put -- before a guest command "
            "that begins with a dash",
            ctx,
        )
    argv = command[1:] if command[:1] == ("--",) else command
    access = reach(vm)
    wanted = GuestCommand(argv, user=user)
    if argv:
        return run_in_guest(access, wanted, tty=tty or None)
    with explained():
        return run_shell(access, wanted, tty=tty or None)


@click.command("exec", cls=TrailingCommand)
@click.argument("vm", shell_complete=vm_names)
@click.option(
    "-w",
    "--workdir",
    metavar="DIR",
    default="",
    help="Working directory of the command. Default: the VM's first workspace, or the image's.",
)
@env
@env_file
@as_user
@no_stdin
@force_tty
@interactive
@click.pass_context
def exec_(
    ctx: click.Context,
    /,
    vm: str,
    workdir: str,
    env: tuple[tuple[str, str | None], ...],
    env_file: tuple[str, ...],
    user: str,
    no_stdin: bool,
    tty: bool,
) -> int:
    """Run a command in a VM, and exit with its exit status.

    It starts in the VM's workspace, with the tools that were installed for it, if the VM has one.
    Otherwise, the working directory of the VM's image counts, and so do its user and variables, as
    with docker exec.

    The words after -- reach the guest unchanged, without a shell in between; use sh -c '...' for
    pipes and variables. The command gets a terminal if standard input and standard output are
    terminals, or with -t. A process that it leaves in the background keeps exec waiting as long as
    it holds the output open; give it another one, as in: sh -c 'server >log 2>&1 </dev/null &'

    The command ends with exec, also when exec is killed; what setsid(1) started goes on.

    If the guest's ssh is broken, its agent runs the command, and stderr says so: for 10 minutes at
    most, with 256 KiB of input and 512 KiB of each output. Such a command goes on when exec is
    killed.

    \b
    Exit status, besides the command's own:
      125  the VM or the connection to it ended under the command
      126  the working directory cannot be entered, or the program cannot be executed
      127  there is no such program
      128+N  signal N ended the command

    \b
    Examples:
      banger vm exec web -- systemctl is-active nginx
      banger vm exec web -w /srv -e STAGE=test -- sh -c 'make check | tail'
      tar c . | banger vm exec web -- tar x -C /root
    """
    if not (argv := trailing(ctx)):
        raise click.UsageError("missing command: put it after --", ctx)
    wish = Wish(argv, variables(env_file, env), user, workdir)
    return _execute(vm, wish, tty=tty or None, stdin=not no_stdin)


def _execute(vm: str, wish: Wish, *, tty: bool | None, stdin: bool) -> int:
    from cli.commands.vm.session.second_way import run_in_guest
    from cli.guest.session import access_of

    view = reached(vm, wish)
    workspace = "" if wish.workdir else first_workspace(view.vm)
    command = in_workspace(wish.command(view.command), workspace)
    return run_in_guest(access_of(view), command, tty=tty, stdin=stdin)


def reach(ref: str) -> Access:
    """How to reach the VM that ``ref`` means. Raises as ``reached``."""
    from cli.guest.session import access_of

    return access_of(reached(ref))


def reached(ref: str, wish: Wish | None = None) -> VmView:
    """The VM that ``ref`` means; raises ``not_running`` when it does not run. What somebody should
    know who is about to work in it goes to stderr. ``wish``: the command that is about to be run
    there."""
    from cli.client.connection import ask
    from cli.client.first_words import FirstWords

    asked: dict[str, Any] = {"command": wish.fields()} if wish else {}
    view = ask(api.VM_ACCESS(ref=ref, **asked), on_partial=FirstWords())
    for sentence in view.notices:
        note(sentence)
    return view
