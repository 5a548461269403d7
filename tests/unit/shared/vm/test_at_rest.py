"""Whether a VM without a VMM would boot or go on."""

from pathlib import Path

import pytest

from shared.vm import files
from shared.vm.at_rest import state_at_rest


def memory(directory: Path) -> None:
    directory.mkdir()
    (directory / files.MEMORY).write_bytes(b"memory")


def test_a_vm_that_was_never_started_is_not_suspended(tmp_path: Path) -> None:
    assert state_at_rest(tmp_path / "none") == "stopped"


def test_a_vm_with_its_memory_on_disk_is_suspended(tmp_path: Path) -> None:
    memory(tmp_path / files.SUSPENDED)
    assert state_at_rest(tmp_path) == "suspended"


@pytest.mark.parametrize(("has_memory", "state"), [(True, "suspended"), (False, "stopped")])
def test_what_a_vm_is_about_to_become_counts(
    tmp_path: Path, *, has_memory: bool, state: str
) -> None:
    memory(tmp_path / files.SUSPENDED)
    if has_memory:
        memory(tmp_path / files.RESTORING)
    else:
        (tmp_path / files.RESTORING).mkdir()
    assert state_at_rest(tmp_path) == state
