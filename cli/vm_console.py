"""``banger vm console``."""

import sys
from pathlib import Path

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

    shown = ask("api", "vm.access", {"ref": vm})
    row = shown["vm"]
    if sys.stdin.isatty():
        note(f"attached to the console of {row['name']}; detach with Ctrl-]")
    run = Paths.from_environment().vm_run(row["id"])
    status = attach(row["name"], run, Path(shown["console_log"]))
    if sys.stdin.isatty():
        note("\ndetached")
    return status
