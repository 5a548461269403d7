"""What is said of a VM: its row, held against the process table.

A row remembers, a handle file and the kernel know. Cheap enough to be done for every VM of a list:
one small file and one line of /proc each, and only for rows that claim to be alive.
"""

from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import Vm, VmView
from shared.host.process import ProcessId
from shared.paths import Paths
from shared.vm import files
from shared.vm.handle import read_handle
from shared.vmm.search import find_vmm


def vmm_of(vm_id: str, paths: Paths) -> ProcessId | None:
    """The VM's VMM, if one lives: by its handle, else by the kernel's list, since a damaged
    handle is no sign of an end."""
    handle = read_handle(paths.vm_run(vm_id))
    if handle is None:
        found = find_vmm(vm_id)
        return found.process if found else None
    return handle.process if handle.alive else None


def checked(vm: Vm, paths: Paths, *, supervised: bool) -> Vm:
    """The row, set to ``stopped`` when nothing of the VM runs.

    ``supervised``: whether it has a supervisor, which watches the VMM itself: then a handle that
    cannot be read (none yet, or damaged) is no sign of its end.
    """
    if vm.state not in LIVE:
        return vm
    handle = read_handle(paths.vm_run(vm.id))
    runs = handle.alive if handle else supervised or find_vmm(vm.id) is not None
    if not runs:
        vm.state, vm.reason = "stopped", vm.reason or "its VMM is gone"
    return vm


def view(vm: Vm, paths: Paths) -> VmView:
    """The checked row with what the handle knows of the running VMM."""
    shown = VmView(vm=vm, console_log=str(paths.vm_state(vm.id) / files.CONSOLE_LOG))
    # A failed VM may have a VMM still: its supervisor was lost.
    has_vmm = vm.state in LIVE or vm.state == "failed"
    handle = read_handle(paths.vm_run(vm.id)) if has_vmm else None
    if handle and handle.alive:
        shown.pid, shown.accel, shown.boot_id = handle.pid, handle.accel, handle.guest_boot
        shown.running_vmm = handle.vmm
        shown.access = handle.access if handle.ready else None
        shown.ports = handle.ports
    return shown
