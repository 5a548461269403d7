"""Which VMs are asleep, as their files say."""

from pathlib import Path

from shared.contract.ssh_access import Access
from shared.vm import files
from shared.vm.asleep import Asleep, forget_asleep, read_asleep, write_asleep

ASLEEP = Asleep(
    reason="nobody used it for 30m",
    access=Access(host="127.77.0.2", port=22, key="k", known_hosts="h", alias="a", control="c"),
    ports={"tcp/80": 8080},
)


def fall_asleep(vm_state: Path, asleep: Asleep = ASLEEP) -> None:
    """Memory, and what is held for the VM."""
    memory = vm_state / files.SUSPENDED
    memory.mkdir(parents=True, exist_ok=True)
    (memory / files.MEMORY).write_text("memory")
    write_asleep(memory, asleep)


def test_a_vm_is_asleep_as_long_as_its_memory_says_so(tmp_path: Path) -> None:
    assert read_asleep(tmp_path) is None
    fall_asleep(tmp_path)
    assert read_asleep(tmp_path) == ASLEEP
    forget_asleep(tmp_path)
    assert read_asleep(tmp_path) is None
    assert (tmp_path / files.SUSPENDED / files.MEMORY).exists()
    forget_asleep(tmp_path)


def test_a_vm_that_becomes_another_of_its_snapshots_is_not_asleep(tmp_path: Path) -> None:
    fall_asleep(tmp_path)
    (tmp_path / files.RESTORING).mkdir()
    (tmp_path / files.RESTORING / files.MEMORY).write_text("memory")
    assert read_asleep(tmp_path) is None


def test_a_damaged_file_means_suspended(tmp_path: Path) -> None:
    fall_asleep(tmp_path)
    (tmp_path / files.SUSPENDED / files.ASLEEP).write_bytes(b"{")
    assert read_asleep(tmp_path) is None
