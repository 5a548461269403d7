"""A VMM found again although both copies of its handle are damaged."""

from services.vm_supervisor.launch.launcher import access_to
from shared.contract.messages.vm import Vm
from shared.host.boot_id import host_boot_id
from shared.paths import Paths
from shared.vm import files
from shared.vm.handle import Handle
from shared.vmm.search import find_vmm


def rediscover(vm: Vm, paths: Paths) -> Handle | None:
    """The handle, made anew, of a VMM that runs; None when none does.

    What only the old one knew (forwards, the guest's boot id) is found again or made again.
    """
    found = find_vmm(vm.id)
    if found is None:
        return None
    console = paths.vm_state(vm.id) / files.CONSOLE_LOG
    return Handle(
        vm_id=vm.id,
        host_boot=host_boot_id(),
        pid=found.process.pid,
        start_time=found.process.start_time,
        vmm=found.info.name,
        accel=found.traces.accel,
        access=access_to(paths, vm.id, vm.address, found.traces.ssh_port),
        # Where this boot's output began is lost: from here on, an old panic is not this one's.
        console_start=console.stat().st_size if console.exists() else 0,
        ready=vm.state in ("running", "paused"),
        publish=vm.publish,
    )
