"""Snapshots as their directories have them."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from services.api.machines.snapshots import (
    find_snapshot,
    origins,
    snapshot_names,
    snapshot_of,
)
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from shared.vm.publish_saved import draft
from tests.example import example_vm
from tests.fakes.saved import save_machine

VM = example_vm()


def test_there_are_those_that_were_published(tmp_path: Path) -> None:
    assert snapshot_names(tmp_path) == []
    for name in ("two", "one"):
        save_machine(tmp_path / files.SNAPSHOTS / name, VM)
    with draft(tmp_path / files.SNAPSHOTS):
        assert snapshot_names(tmp_path) == ["one", "two"]


def test_what_an_api_that_was_killed_made_copies_of_is_found(tmp_path: Path) -> None:
    paths = Paths(*(tmp_path / name for name in ("config", "data", "state", "run")))
    assert origins(paths) == []
    left = save_machine(paths.vm_state(VM.id) / files.FORKS / "request", VM)
    save_machine(paths.vm_state(VM.id) / files.SNAPSHOTS / "one", VM)
    assert origins(paths) == [left]


def test_one_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    save_machine(tmp_path / files.SNAPSHOTS / "one", VM)
    assert find_snapshot(VM, tmp_path, "one") == tmp_path / files.SNAPSHOTS / "one"
    with pytest.raises(BangerError) as refused:
        find_snapshot(VM, tmp_path, "../one")
    assert refused.value.code is Code.NOT_FOUND
    assert "its snapshots: one" in str(refused.value.hint)


def test_what_it_was_made_of_is_shown_as_it_was(tmp_path: Path) -> None:
    now = replace(VM, vcpu=VM.vcpu + 1, name="renamed")
    shown = snapshot_of(now, save_machine(tmp_path / "one", VM))
    assert (shown.vcpu, shown.vm_name, shown.memory) == (VM.vcpu, "renamed", True)
    assert shown.problems == []
    assert shown.real_bytes > 0


def test_disks_alone_may_be_started_by_any_vmm(tmp_path: Path) -> None:
    shown = snapshot_of(VM, save_machine(tmp_path / "one", VM, memory=False))
    assert (shown.memory, shown.vmm, shown.cpu) == (False, "", "")


def test_damage_is_a_problem_that_is_fit_to_be_printed(tmp_path: Path) -> None:
    directory = save_machine(tmp_path / "one", VM)
    (directory / files.SAVED).write_text("{\x1b[2J")
    shown = snapshot_of(VM, directory)
    assert shown.name == "one"
    assert shown.problems[0].isprintable()
