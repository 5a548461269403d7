"""``banger vm snapshot restore``."""

import sys
from typing import TYPE_CHECKING, Any

import click

from cli.client.batch import say_notices
from cli.client.operation import run_operation
from cli.commands.vm.inspect.show import DETAILS, entry
from cli.commands.vm.snapshot.place import its_name, its_vm, one_snapshot
from cli.terminal.output import format_options, note, show_one
from shared.contract.verbs import api
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.messages.vm import VmView


@click.command()
@its_vm
@its_name
@click.option("--disk", is_flag=True, help="Restore only the disks. The VM is stopped afterwards.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@format_options
def restore(vm: str, name: str | None, disk: bool, yes: bool, output: str, quiet: bool) -> int:
    """Bring a VM back to what it was when a snapshot was made.

    All that has changed since is lost, on the disks and in memory; the command says what, and
    asks. The VM goes on where it was then; with a snapshot of disks only, it is stopped. Its name,
    addresses, ports, labels and egress stay as they are now, and so do its other snapshots.

    \b
    Examples:
      banger vm snapshot restore web clean
      banger vm snapshot restore --yes web/clean
      banger vm snapshot restore --disk web clean
    """
    vm, name = one_snapshot(vm, name)
    try:
        restored = _restore(vm, name, disk=disk, force=yes)
    except BangerError as error:
        lost = lost_by(error)
        if yes or not lost:
            raise
        if not _agreed(error, vm, name, lost):
            note("Nothing was changed.")
            return 1
        restored = _restore(vm, name, disk=disk, force=True)
    say_notices([restored])
    form = "name" if output == "table" else output
    show_one(entry(restored), DETAILS, form, quiet=quiet)
    return 0


def _restore(vm: str, name: str, *, disk: bool, force: bool) -> "VmView":
    alone = {"memory": False} if disk else {}
    return run_operation(api.SNAPSHOT_RESTORE(ref=vm, name=name, force=force, **alone))


def lost_by(error: BangerError) -> list[str]:
    """What a restore would lose, in sentences; nothing when that is not why it was refused."""
    lost: Any = error.details.get("lost")
    is_list = error.code is Code.CONFLICT and isinstance(lost, list)
    return [str(sentence) for sentence in lost] if is_list else []


def _agreed(error: BangerError, vm: str, name: str, lost: list[str]) -> bool:
    """Raises ``error``, with the way out, where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise BangerError(
            error.code,
            error.message,
            hint=f"restore it all the same: banger vm snapshot restore --yes {vm} {name}",
            details=error.details,
        )
    for sentence in lost:
        note(sentence)
    return bool(click.confirm(f"Restore {vm} to {name}?", default=False, err=True))
