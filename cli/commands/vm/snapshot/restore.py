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
    """Restore a VM to the state that a snapshot has.

    Changes to disks and memory since the snapshot are lost: the command lists them and asks for
    confirmation. A VM that is restored with its memory continues where it was; without memory, it
    is stopped. Its name, addresses, ports, labels and egress policy do not change, and its other
    snapshots are kept.

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
        if not _agreed(error, vm, name, lost, disk=disk):
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
    """What a restore would lose, in sentences. Empty when it was refused for another reason."""
    lost: Any = error.details.get("lost")
    is_list = error.code is Code.CONFLICT and isinstance(lost, list)
    return [str(sentence) for sentence in lost] if is_list else []


def _agreed(error: BangerError, vm: str, name: str, lost: list[str], *, disk: bool) -> bool:
    """Ask for confirmation. Raises ``error``, with a hint, where there is nobody to ask."""
    if not sys.stdin.isatty():
        options = "--yes --disk" if disk else "--yes"
        raise BangerError(
            error.code,
            error.message,
            hint=f"restore it anyway: banger vm snapshot restore {options} {vm} {name}",
            details=error.details,
        )
    for sentence in lost:
        note(sentence)
    return bool(click.confirm(f"Restore {vm} to {name}?", default=False, err=True))
