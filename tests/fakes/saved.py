"""Saved machines of a few bytes, as a supervisor would have written them of a VM."""

from pathlib import Path
from typing import Any

from shared.contract.messages.vm import Vm
from shared.vm import files
from shared.vm.publish_saved import draft, publish
from shared.vm.saved import SavedDevice, SavedMachine, describe_files, memory_form

CREATED = "2026-11-29T11:30:00.000Z"


def save_machine(
    target: Path, vm: Vm, *, disks: bool = True, memory: bool = True, **changes: Any
) -> Path:
    """Publish one of ``vm`` at ``target``, whose parent is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with draft(target.parent) as work:
        for name in (files.OVERLAY, files.WORK_DISK) if disks else ():
            (work / name).write_bytes(b"disk")
        for name in (files.MEMORY, files.DEVICE_STATE) if memory else ():
            (work / name).write_bytes(b"memory")
        publish(work, target, describe(work, vm, **changes))
    return target


def describe(work: Path, vm: Vm, **changes: Any) -> SavedMachine:
    """The description of what is in ``work``."""
    sizes = {"overlay": vm.overlay_bytes, "work": vm.disk_bytes}
    known: dict[str, Any] = {
        "vmm": "qemu",
        "vmm_version": "7.2",
        "accel": "tcg",
        "cpu": "QEMU's default",
        "vcpus": vm.vcpu,
        "memory_mib": vm.memory_mib,
        "network": vm.network,
        "devices": [
            SavedDevice(name=name, bytes=size, read_only=False) for name, size in sizes.items()
        ],
        "image_id": vm.image_id,
        "image_digest": f"sha256:{vm.image_id}",
        "kernel_id": vm.kernel_id,
        "vm_id": vm.id,
        "vm_name": vm.name,
        "created": CREATED,
        "pause_seconds": 0.1,
        "copied": "sparse" if (work / files.OVERLAY).exists() else "",
        "memory": memory_form(work),
        "files": describe_files(work),
    }
    return SavedMachine(**known | changes)
