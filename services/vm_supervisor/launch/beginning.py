"""What a VM begins a run with: new disks, its own, or those of a saved machine, and its memory."""

from pathlib import Path

from services.vm_supervisor.disks.layout import ensure_overlay, ensure_work_disk, refuse_lost
from services.vm_supervisor.disks.placement import complete, replacement
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.vm import files
from shared.vm.at_rest import state_at_rest
from shared.vm.handle import Beginning
from shared.vm.saved import SavedMachine, read_saved

NO_MEMORY = "boot it without what is in its memory: banger vm start --discard-memory {name}"
"""A hint."""


def make_disks(spec: SupervisorSpec, state: Path) -> SavedMachine | None:
    """Make the disks that the VM needs in its directory ``state``, if they are not there. What it
    goes on from is returned, None for a boot.

    Raises:
        BangerError: ``invalid`` for memory that is damaged, ``not_found`` for disks that are lost,
            and as ``ensure_overlay`` and ``replacement``.
    """
    vm, is_new = spec.vm, not (state / files.OVERLAY).exists()
    complete(state)
    if spec.saved and is_new:
        source = Path(spec.saved)
        with replacement(source, read_saved(source, check=False), state) as put_in_place:
            put_in_place()
    elif vm.origin and is_new:
        raise BangerError(
            Code.NOT_FOUND,
            f"{vm.name} has no disks: its {vm.origin} was broken off",
            hint=f"delete it: banger vm delete {vm.name}",
        )
    refuse_lost(state)
    if state_at_rest(state) == "suspended":
        known = is_new and bool(spec.saved) and spec.checked
        return _read_suspended(state / files.SUSPENDED, vm.name, check=not known)
    ensure_overlay(state / files.OVERLAY, vm.overlay_bytes)
    ensure_work_disk(state / files.WORK_DISK, vm.disk_bytes)
    return None


def _read_suspended(directory: Path, name: str, *, check: bool) -> SavedMachine:
    try:
        return read_saved(directory, check=check)
    except BangerError as error:
        if error.code is Code.INVALID:
            error.hint = NO_MEMORY.format(name=name)
        raise


def beginning_of(saved: SavedMachine | None, vm: Vm) -> Beginning:
    """How the guest of a VM that goes on from ``saved`` comes to run."""
    if saved is None:
        return "boot"
    return "resumed" if saved.vm_id == vm.id else "copy"


def vmm_of_memory(spec: SupervisorSpec, state: Path) -> str:
    """The VMM that the memory of the VM can be loaded by; "" when it has none and boots."""
    own = (state / files.RESTORING, state / files.SUSPENDED)
    copied = [Path(spec.saved)] if spec.saved and not (state / files.OVERLAY).exists() else []
    for directory in (*own, *copied):
        if (directory / files.MEMORY).exists():
            return read_saved(directory, check=False).vmm
    return ""
