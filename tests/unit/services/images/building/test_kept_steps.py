import os
from pathlib import Path

import pytest

from services.images.building import kept_steps
from services.images.building.kept_steps import KeptSteps, copy_sparse
from shared.vm import files

KEY, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def vm(tmp_path: Path) -> Path:
    state = tmp_path / "vm"
    state.mkdir()
    for name in (files.OVERLAY, files.WORK_DISK):
        with (state / name).open("wb") as file:
            file.write(b"start")
            file.seek(8 << 20)
            file.write(name.encode())
            file.truncate(64 << 20)
    return state


def test_disks_come_back_as_they_were_without_filling_their_holes(tmp_path: Path, vm: Path) -> None:
    kept = KeptSteps(tmp_path / "builds")
    assert not kept.has_disks(KEY)
    kept.keep_disks(KEY, vm)
    assert kept.has_disks(KEY)
    assert kept.place_disks(KEY, tmp_path / "next")
    for name in (files.OVERLAY, files.WORK_DISK):
        made = tmp_path / "next" / name
        assert made.read_bytes() == (vm / name).read_bytes()
        assert made.stat().st_blocks * 512 < 1 << 20
        assert made.stat().st_mode & 0o777 == 0o600


def test_disks_that_are_gone_are_told_and_nothing_is_left(tmp_path: Path, vm: Path) -> None:
    kept = KeptSteps(tmp_path / "builds")
    assert not kept.place_disks(KEY, tmp_path / "next")
    kept.keep_disks(KEY, vm)
    (tmp_path / "builds" / KEY / files.WORK_DISK).unlink()
    assert not kept.place_disks(KEY, tmp_path / "next")
    assert list((tmp_path / "next").iterdir()) == []


def test_the_image_of_a_build_is_found_again(tmp_path: Path) -> None:
    kept = KeptSteps(tmp_path / "builds")
    assert kept.image_of(KEY) == ""
    kept.note_image(KEY, "a" * 16)
    kept.note_image(KEY, "b" * 16)  # built again
    assert kept.image_of(KEY) == "b" * 16
    assert not kept.has_disks(KEY)


def test_what_was_used_longest_ago_makes_room(
    tmp_path: Path, vm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_steps, "MOST_STEPS_KEPT", 2)
    kept = KeptSteps(tmp_path / "builds")
    kept.note_image("f" * 64, "a" * 16)
    for number, key in enumerate((KEY, OTHER), 1):
        kept.keep_disks(key, vm)
        os.utime(tmp_path / "builds" / key, (number, number))
    assert kept.place_disks(KEY, tmp_path / "next")  # used now
    kept.keep_disks("3" * 64, vm)
    assert {each.name for each in kept.steps()} == {KEY, "3" * 64, "f" * 64}


def test_a_disk_of_the_host_that_is_almost_full_keeps_nothing(
    tmp_path: Path, vm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_steps, "_LEAST_FREE", 1 << 62)
    kept = KeptSteps(tmp_path / "builds")
    kept.keep_disks(KEY, vm)
    assert kept.steps() == []


def test_a_kept_step_can_be_removed_twice(tmp_path: Path, vm: Path) -> None:
    kept = KeptSteps(tmp_path / "builds")
    kept.keep_disks(KEY, vm)
    kept.remove(KEY)
    kept.remove(KEY)
    assert list((tmp_path / "builds").iterdir()) == []


def test_a_file_of_holes_and_an_empty_one_are_copied(tmp_path: Path) -> None:
    for name, size in (("holes", 10 << 20), ("empty", 0)):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)
        copy_sparse(tmp_path / name, tmp_path / f"{name}.copy")
        assert (tmp_path / f"{name}.copy").stat().st_size == size


def test_a_step_that_was_run_again_takes_the_place_of_what_was_kept(
    tmp_path: Path, vm: Path
) -> None:
    kept = KeptSteps(tmp_path / "builds")
    kept.keep_disks(KEY, vm)
    (vm / files.OVERLAY).write_text("another")
    kept.keep_disks(KEY, vm)
    assert (tmp_path / "builds" / KEY / files.OVERLAY).read_text() == "another"
    assert [each.name for each in (tmp_path / "builds").iterdir()] == [KEY]
