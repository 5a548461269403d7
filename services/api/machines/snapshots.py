"""The snapshots of VMs, read from their directories: there is no row of one."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from services.api.machines.disk_use import occupied
from shared.contract.messages.snapshot import Snapshot
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.plain_text import printable
from shared.vm import files
from shared.vm.publish_saved import PREFIX
from shared.vm.saved import SavedMachine, read_saved

Obstacles = Callable[[Vm, SavedMachine], list[str]]
"""Why the VM cannot become what was saved, in sentences."""
LONGEST_PROBLEM = 500
"""Characters; a description that somebody has edited may say anything."""


def snapshot_names(vm_state: Path) -> list[str]:
    """The names of a VM's snapshots, those that are damaged too; of none that is being made."""
    directory = vm_state / files.SNAPSHOTS
    if not directory.is_dir():
        return []
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith(PREFIX))


def snapshot_directory(vm_state: Path, name: str) -> Path:
    """Where the snapshot ``name`` is, or will be. ``name`` is one of ``check_name``."""
    return vm_state / files.SNAPSHOTS / name


def origins(paths: Paths) -> list[Path]:
    """What copies are being made of now; or were, by an api that was killed."""
    return list((paths.state / "vms").glob(f"*/{files.FORKS}/[!.]*"))


def find_snapshot(vm: Vm, vm_state: Path, name: str) -> Path:
    """The directory of a snapshot that is there. Raises ``not_found`` with those that are."""
    if name not in (there := snapshot_names(vm_state)):
        listed = ", ".join(there[:10]) or "none"
        raise BangerError(
            Code.NOT_FOUND,
            f"{vm.name} has no snapshot {printable(name)!r}",
            hint=f"its snapshots: {listed}; see banger vm snapshot list {vm.name}",
        )
    return snapshot_directory(vm_state, name)


def snapshot_of(
    vm: Vm, directory: Path, obstacles: Obstacles | None = None, *, check: bool = False
) -> Snapshot:
    """What users are shown of the snapshot in ``directory``; damage is one of its problems, and so
    is what ``obstacles`` finds. Reads the disk. ``check``: as ``read_saved``."""
    try:
        saved = read_saved(directory, check=check)
    except BangerError as error:
        return _damaged(vm, directory, printable(error.message, LONGEST_PROBLEM))
    has_memory = saved.memory is not None
    return Snapshot(
        vm_id=vm.id,
        vm_name=vm.name,
        name=directory.name,
        created_at=saved.created,
        memory=has_memory,
        image_id=saved.image_id,
        image_name=vm.image_name,
        kernel_id=saved.kernel_id,
        vcpu=saved.vcpus,
        memory_mib=saved.memory_mib,
        vmm=saved.vmm if has_memory else "",
        vmm_version=saved.vmm_version if has_memory else "",
        cpu=saved.cpu if has_memory else "",
        copied=saved.copied or "sparse",
        pause_seconds=saved.pause_seconds,
        real_bytes=occupied(directory),
        problems=[
            f"it cannot be restored because {printable(obstacle, LONGEST_PROBLEM)}"
            for obstacle in (obstacles(vm, saved) if obstacles else [])
        ],
    )


def _damaged(vm: Vm, directory: Path, problem: str) -> Snapshot:
    made = datetime.fromtimestamp(directory.stat().st_mtime).astimezone()
    return Snapshot(
        vm_id=vm.id,
        vm_name=vm.name,
        name=directory.name,
        created_at=made.isoformat(timespec="seconds"),
        memory=(directory / files.MEMORY).exists(),
        image_id=vm.image_id,
        image_name=vm.image_name,
        kernel_id=vm.kernel_id,
        vcpu=vm.vcpu,
        memory_mib=vm.memory_mib,
        copied="sparse",
        pause_seconds=0.0,
        real_bytes=occupied(directory),
        problems=[problem],
    )
