"""What VMs occupy: blocks, not sizes."""

from pathlib import Path

from services.api.machines.disk_use import used_by_vms
from shared.vm import files


def test_holes_do_not_count_and_a_vm_without_files_is_one_too(tmp_path: Path) -> None:
    sparse = tmp_path / "web" / files.WORK_DISK
    sparse.parent.mkdir()
    with sparse.open("wb") as file:
        file.truncate(1 << 30)
    used = used_by_vms([tmp_path / "web", tmp_path / "nothing"])
    assert (used.count, used.reclaimable) == (2, 0)
    assert used.real_bytes < 1 << 20
