"""What must be the same where a saved machine is started, of this VM as it is now."""

from pathlib import Path

from msgspec.structs import replace

from services.vm_supervisor.drivers.contract import Drives
from shared.contract.messages.machine import SupervisorSpec
from shared.errors import BangerError, Code
from shared.vm.manifest import image_digest
from shared.vm.saved import MachineFacts, SavedDevice, SavedMachine, differences
from shared.vmm.accelerator import Accelerator
from shared.vmm.info import DriverInfo, LaunchContext


def facts_of_disks(spec: SupervisorSpec) -> MachineFacts:
    """Of a VM whose disks alone count: any VMM and processor will do."""
    vm = spec.vm
    return MachineFacts(
        vmm="",
        vmm_version="",
        accel="",
        cpu="",
        vcpus=vm.vcpu,
        memory_mib=vm.memory_mib,
        network=vm.network,
        devices=[
            SavedDevice(name="overlay", bytes=vm.overlay_bytes, read_only=False),
            SavedDevice(name="work", bytes=vm.disk_bytes, read_only=False),
        ],
        image_id=vm.image_id,
        image_digest=image_digest(Path(spec.image)),
        kernel_id=vm.kernel_id,
    )


def facts_of_machine(
    spec: SupervisorSpec,
    info: DriverInfo,
    context: LaunchContext,
    accelerator: Accelerator,
    drives: Drives,
) -> MachineFacts:
    """Of a VM whose memory counts too. The files of ``drives`` are there. May run the VMM.

    Raises:
        BangerError: as ``DriverInfo.version``.
    """
    return replace(
        facts_of_disks(spec),
        vmm=info.name,
        vmm_version=info.version(context),
        accel=accelerator.accel.value,
        cpu=info.cpu(context, accelerator),
        tsc_khz=accelerator.tsc_khz,
        devices=[
            SavedDevice(name=name, bytes=path.stat().st_size, read_only=read_only)
            for name, path, read_only in drives.devices()
        ],
    )


def refuse_different(saved: SavedMachine, wanted: MachineFacts, name: str, hint: str) -> None:
    """Raise ``incompatible`` unless ``saved`` can be started as ``wanted``."""
    if found := differences(saved, wanted):
        raise BangerError(
            Code.INCOMPATIBLE,
            f"{name} cannot be started from what was saved because {'; '.join(found)}",
            hint=hint,
        )


def with_own_sizes(saved: SavedMachine, wanted: MachineFacts) -> MachineFacts:
    """``wanted`` of a VM that becomes ``saved``: its sizes and disks will be those."""
    own = {device.name: device for device in saved.devices if not device.read_only}
    devices = [own.get(device.name, device) for device in wanted.devices]
    return replace(wanted, vcpus=saved.vcpus, memory_mib=saved.memory_mib, devices=devices)
