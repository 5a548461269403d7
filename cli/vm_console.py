"""``banger vm console``."""

import sys

import click

from cli.arguments import one_running_vm
from cli.output import note


@click.command()
@one_running_vm
def console(vm: str) -> int:
    """Attach to the serial console of a VM; Ctrl-] detaches.

    One can be attached at a time. With piped input it ends when that has ended and the console
    has been silent for a second.

    \b
    Examples:
      banger vm console web
      echo | banger vm console web
    """
    from cli.call import ask
    from cli.console import attach
    from shared.paths import Paths

    row = ask("api", "vm.access", {"ref": vm})["vm"]
    if sys.stdin.isatty():
        note(f"attached to the console of {row['name']}; detach with Ctrl-]")
    status = attach(row["name"], Paths.from_environment().vm_run(row["id"]) / "console.sock")
    if sys.stdin.isatty():
        note("\ndetached")
    return status
