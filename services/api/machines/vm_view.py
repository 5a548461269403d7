"""What is said of a VM: its row, held against the process table.

A row remembers, a handle file and the kernel know. Cheap enough to be done for every VM of a list:
one small file and one line of /proc each, and only for rows that claim to be alive.
"""

from msgspec.structs import replace

from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import Vm, VmView
from shared.host.process import ProcessId
from shared.paths import Paths
from shared.vm import files
from shared.vm.asleep import read_asleep
from shared.vm.at_rest import state_at_rest
from shared.vm.handle import Handle, read_handle
from shared.vmm.search import find_vmm


def vmm_of(vm_id: str, paths: Paths) -> ProcessId | None:
    """The VM's VMM, if one lives: by its handle, else by the kernel's list.

    A handle that is damaged, not written yet, or gone with the user's run directory at a logout is
    no sign of an end.
    """
    handle = read_handle(paths.vm_run(vm_id))
    if handle is None:
        found = find_vmm(vm_id)
        return found.process if found else None
    return handle.process if handle.alive else None


def with_live_state(vm: Vm, paths: Paths, *, supervised: bool) -> Vm:
    """The row; ``stopped`` or ``suspended`` when it claims to be alive and nothing of the VM runs.

    ``supervised``: whether it has a supervisor, which watches the VMM itself: then a handle that
    cannot be read (none yet, or damaged) is no sign of its end.
    """
    if vm.state == "suspended":
        at_rest = _at_rest(vm, paths, "its memory is gone")
        is_so = (at_rest.state, at_rest.wakes) == ("suspended", vm.wakes)
        return vm if is_so else at_rest
    if vm.state not in LIVE:
        return vm
    return _held_against(read_handle(paths.vm_run(vm.id)), vm, paths, supervised=supervised)


def _held_against(handle: Handle | None, vm: Vm, paths: Paths, *, supervised: bool) -> Vm:
    runs = handle.alive if handle else supervised or vmm_of(vm.id, paths) is not None
    return vm if runs else _at_rest(vm, paths, "its VMM is gone")


def _at_rest(vm: Vm, paths: Paths, reason: str) -> Vm:
    """The row of a VM without a VMM; ``reason``: why it is ``stopped``, if it is."""
    state = state_at_rest(paths.vm_state(vm.id))
    if state == "suspended":
        asleep = read_asleep(paths.vm_state(vm.id))
        return replace(
            vm, state=state, reason=asleep.reason if asleep else "", wakes=asleep is not None
        )
    return replace(vm, state=state, reason=vm.reason or reason, wakes=False)


def view(vm: Vm, paths: Paths, *, supervised: bool) -> VmView:
    """What users are told: the row ``with_live_state``, and what the handle knows of the VMM."""
    # A failed VM may have a VMM still: its supervisor was lost.
    has_vmm = vm.state in LIVE or vm.state == "failed"
    handle = read_handle(paths.vm_run(vm.id)) if has_vmm else None
    if vm.state == "suspended":
        vm = with_live_state(vm, paths, supervised=supervised)
    elif vm.state in LIVE:
        live = _held_against(handle, vm, paths, supervised=supervised)
        # A supervisor stores that its VM sleeps once it holds the ports: so nobody is refused.
        vm = vm if supervised and live.wakes else live
    shown = VmView(vm=vm, console_log=str(paths.vm_state(vm.id) / files.CONSOLE_LOG))
    if handle and handle.alive:
        shown.pid, shown.accel, shown.boot_id = handle.pid, handle.accel, handle.guest_boot
        shown.running_vmm = handle.vmm
        shown.access = handle.access if handle.ready else None
        shown.ports = handle.ports
    return shown
