"""``banger vm console``."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.commands.vm.options.arguments import one_running_vm
from cli.terminal.output import note
from shared.contract.reference import by_id
from shared.contract.verbs import api
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.messages.vm import VmView
    from shared.vmm.info import Console


@click.command()
@one_running_vm
def console(vm: str) -> int:
    """Attach to the serial console of a VM. Ctrl-] detaches.

    The console is there while the VM starts, runs and stops, for one user at a time. With piped
    input, detaches when the input has ended and the console has been silent for a second.

    \b
    Examples:
      banger vm console web
      echo | banger vm console web
    """
    from cli.guest.console import attach
    from shared.paths import Paths

    shown = _live(vm)
    name = shown.vm.name
    if sys.stdin.isatty():
        note(f"Attached to the console of {name}. Press Ctrl-] to detach.")
    run = Paths.from_environment().vm_run(shown.vm.id)
    status = attach(name, _form(shown), run, Path(shown.console_log))
    if sys.stdin.isatty():
        note("")
        note("Detached.")
    return status


def _form(shown: "VmView") -> "Console":
    """The form of the console of its VMM. Raises ``unavailable`` when there is no VMM yet."""
    from shared.vmm.registry import driver_info

    if not shown.running_vmm:
        name = shown.vm.name
        raise BangerError(
            Code.UNAVAILABLE,
            f"{name} has no console yet: its VMM has not started",
            hint=f"see: banger vm show {name}",
        )
    return driver_info(shown.running_vmm).console


def _live(ref: str) -> "VmView":
    """The VM, in any state that has a console, since a console is needed most without ssh.

    Raises:
        BangerError: ``not_running`` when there is no VMM, and so no console.
    """
    from cli.client.connection import connect
    from cli.client.first_words import FirstWords
    from shared.contract.lifecycle import LIVE, Action, check

    with connect() as client:
        shown = client.ask(api.VM_SHOW(ref=ref))
        if shown.vm.wakes:
            client.ask(api.VM_ACCESS(ref=by_id(shown.vm.id)), on_partial=FirstWords())
            shown = client.ask(api.VM_SHOW(ref=by_id(shown.vm.id)))
        if shown.vm.state not in LIVE:
            check(shown.vm.name, shown.vm.state, Action.SESSION)
        with suppress(BangerError):  # counts as use of the VM, if it is granted
            client.ask(api.VM_ACCESS(ref=by_id(shown.vm.id)))
    return shown
