"""What a VM begins a run with."""

import os
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.launch.beginning import beginning_of, make_disks, vmm_of_memory
from shared.contract.messages.machine import SupervisorSpec
from shared.errors import BangerError, Code
from shared.vm import files
from tests.example import example_vm
from tests.unit.services.vm_supervisor.disks.saved_machines import fill, save, words

SMALLEST = 16 << 20


def spec(saved: Path | str = "", **changes: Any) -> SupervisorSpec:
    vm = example_vm(disk_bytes=SMALLEST, overlay_bytes=SMALLEST, **changes)
    return SupervisorSpec(vm=vm, image="i", kernel="k", saved=str(saved))


def test_a_new_vm_gets_empty_disks(tmp_path: Path) -> None:
    assert make_disks(spec(), tmp_path) is None
    assert (tmp_path / files.OVERLAY).stat().st_size == SMALLEST
    assert beginning_of(None, spec().vm) == "boot"


def test_a_suspended_vm_goes_on_with_its_disks_as_they_are(tmp_path: Path) -> None:
    fill(tmp_path, "disk", memory=False)
    save(tmp_path / files.SUSPENDED, "memory", disks=False)
    saved = make_disks(spec(id="0123456789ab"), tmp_path)
    assert saved
    assert beginning_of(saved, spec(id="0123456789ab").vm) == "resumed"
    assert words(tmp_path)["overlay.ext4"] == "disk", "not extended"
    assert vmm_of_memory(spec(), tmp_path) == "qemu"


def test_memory_that_is_damaged_can_be_given_up(tmp_path: Path) -> None:
    fill(tmp_path, "disk", memory=False)
    save(tmp_path / files.SUSPENDED, "memory", disks=False)
    (tmp_path / files.SUSPENDED / files.MEMORY).write_text("other")
    with pytest.raises(BangerError) as raised:
        make_disks(spec(name="web", id="0123456789ab"), tmp_path)
    assert raised.value.code is Code.INVALID
    assert raised.value.hint.endswith(": banger vm start --discard-memory web")


def test_a_copy_begins_as_what_it_was_made_of(tmp_path: Path) -> None:
    (state := tmp_path / "vm").mkdir()
    source = save(tmp_path / "source", "word")
    made = spec(source, origin="fork of beta", id="f" * 12)
    assert vmm_of_memory(made, state) == "qemu"
    saved = make_disks(made, state)
    assert saved
    assert beginning_of(saved, made.vm) == "copy"
    assert words(state)["work.ext4"] == "word"


def test_a_copy_that_has_its_disks_keeps_them(tmp_path: Path) -> None:
    source = save(tmp_path / "source", "word")
    fill(state := tmp_path / "vm", "own", memory=False)
    made = spec(source, origin="fork of beta")
    assert vmm_of_memory(made, state) == ""
    os.truncate(state / files.OVERLAY, SMALLEST)
    assert make_disks(made, state) is None
    assert words(state)["work.ext4"].startswith("own")


def test_a_copy_whose_origin_is_gone_does_not_boot_empty(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="was broken off") as refused:
        make_disks(spec(origin="fork of beta"), tmp_path)
    assert refused.value.code is Code.NOT_FOUND
    assert words(tmp_path) == {}


def test_damaged_memory_is_refused_and_stays(tmp_path: Path) -> None:
    fill(tmp_path, "disk", memory=False)
    memory = save(tmp_path / files.SUSPENDED, "memory", disks=False) / files.MEMORY
    memory.write_text("yromem")
    with pytest.raises(BangerError, match="content of memory has changed") as refused:
        make_disks(spec(), tmp_path)
    assert refused.value.code is Code.INVALID
    assert memory.exists()


def test_what_a_killed_restore_has_begun_is_completed(tmp_path: Path) -> None:
    fill(tmp_path, "old", memory=False)
    save(tmp_path / files.RESTORING, "new", memory=False)
    os.truncate(tmp_path / files.RESTORING / files.OVERLAY, SMALLEST)
    os.truncate(tmp_path / files.RESTORING / files.WORK_DISK, SMALLEST)
    assert make_disks(spec(), tmp_path) is None
    assert words(tmp_path)["work.ext4"].startswith("new")
