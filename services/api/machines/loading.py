"""Whether this host can start what a snapshot holds, asked before anybody restores it.

A restore asks the same again of the VM's supervisor, which decides.
"""

from msgspec.structs import replace

from shared.config import Config
from shared.contract.messages.vm import Vm
from shared.errors import BangerError
from shared.paths import Paths
from shared.vm.manifest import image_digest, read_manifest
from shared.vm.saved import MachineFacts, SavedMachine, differences
from shared.vmm.choice import choose
from shared.vmm.info import LaunchContext
from shared.vmm.registry import driver_info


def obstacles(
    vm: Vm, saved: SavedMachine, config: Config, paths: Paths, *, probes: bool
) -> list[str]:
    """Why ``vm`` cannot become ``saved`` here; each a sentence. Reads the disk.

    ``probes``: compare processor and clock too, which may boot a probe guest, as
    ``DriverInfo.accelerator``. Without it only the version of the VMM may be asked for.
    """
    try:
        return differences(saved, _facts_here(vm, saved, config, paths, probes=probes))
    except BangerError as error:
        return [error.message]


def _facts_here(
    vm: Vm, saved: SavedMachine, config: Config, paths: Paths, *, probes: bool
) -> MachineFacts:
    """What a start would make of it here. Sizes and disks would be those that were saved."""
    kernel = paths.kernels / vm.kernel_id
    read_manifest(kernel)
    here = replace(
        saved,
        network=vm.network,
        image_id=vm.image_id,
        image_digest=image_digest(paths.images / vm.image_id),
        kernel_id=vm.kernel_id,
    )
    if saved.memory is None:
        return here
    return _with_vmm(here, LaunchContext(config, kernel, paths.run), probes=probes)


def _with_vmm(here: MachineFacts, context: LaunchContext, *, probes: bool) -> MachineFacts:
    info = driver_info(here.vmm)
    here = replace(here, vmm_version=info.version(context))
    if not probes:
        return here
    choose(here.vmm, here.network, context)
    accelerator = info.accelerator(context)
    cpu = info.cpu(context, accelerator)
    return replace(here, accel=accelerator.accel.value, cpu=cpu, tsc_khz=accelerator.tsc_khz)
