"""Options about a repository in a VM: what goes in, and which of several is meant."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click

from cli.client.completers import vm_names, workspace_paths

Command = TypeVar("Command", bound=Callable[..., Any])

GUEST_PATH = click.option(
    "--guest-path",
    metavar="DIR",
    help="Where the repository goes in the guest, an absolute path. Default: /root/repo.",
)
FIELDS = {
    "guest_path": GUEST_PATH,
    "branch": click.option(
        "--branch", metavar="NAME", help="Make this branch, in the guest's copy only."
    ),
    "start": click.option(
        "--from",
        "--branch-from",
        "start",
        metavar="REV",
        help="Where the branch of --branch begins. Default: the host's HEAD.",
    ),
    "include_untracked": click.option(
        "--include-untracked",
        is_flag=True,
        help="Send untracked files too. Ignored files are never sent.",
    ),
    "full": click.option(
        "--full", is_flag=True, help="Send the whole history, not only the last 10 commits."
    ),
    "bootstrap": click.option(
        "--no-bootstrap",
        "bootstrap",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Do not install the tools that the repository pins.",
    ),
}
"""Field of WorkspaceChoice -> the option that gives it."""
START_OF_RUN = click.option(
    "--branch-from",
    "start",
    metavar="REV",
    help="Where the branch of --branch begins. Default: the host's HEAD.",
)
"""``vm run`` has a ``--from`` of its own."""
UNSET = {"bootstrap": (True,)}
"""What means that an option was not given, where it is not None or False."""
NAMES = {
    "guest_path": "--guest-path",
    "branch": "--branch",
    "start": "--branch-from",
    "include_untracked": "--include-untracked",
    "full": "--full",
    "bootstrap": "--no-bootstrap",
}

which_workspace = click.option(
    "--guest-path",
    metavar="DIR",
    default="",
    help="Which of the VM's workspaces, if it has several.",
    shell_complete=workspace_paths,
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print what would be sent, and change nothing."
)
prepared_vm = click.argument("vm", metavar="VM", shell_complete=vm_names)


def workspace_options(command: Command) -> Command:
    """Add the options. The command gets ``choice``: the fields of WorkspaceChoice that were given.

    Raises ``UsageError`` for ``--from`` without ``--branch``.
    """
    return _with_options(command, FIELDS, "--from")


def options_of_run(command: Command) -> Command:
    """The same for ``vm run``, whose ``--from`` may mean another thing."""
    return _with_options(command, {**FIELDS, "start": START_OF_RUN}, "--branch-from")


def _with_options(command: Command, options: dict[str, Callable[..., Any]], start: str) -> Command:
    @wraps(command)
    def with_choice(*arguments: Any, **others: Any) -> Any:
        values = {field: others.pop(field) for field in FIELDS}
        choice = {
            field: value
            for field, value in values.items()
            if value not in UNSET.get(field, (None, False))
        }
        if "start" in choice and "branch" not in choice:
            raise click.UsageError(f"{start} needs --branch", click.get_current_context())
        return command(*arguments, choice=choice, **others)

    decorated: Any = with_choice
    for option in reversed(options.values()):
        decorated = option(decorated)
    return cast(Command, decorated)
