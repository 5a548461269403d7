"""What the host remembers of a workspace."""

from pathlib import Path

from services.workspaces.placement.record import (
    PlacedRepository,
    PlacedWorkspace,
    file_beside,
    load_record,
    save_record,
)


def placed(state: Path) -> PlacedWorkspace:
    manifest = file_beside(state, "/root/repo", "manifest")
    manifest.write_bytes(b"")
    own = PlacedRepository(head="ab", ref="refs/heads/main", manifest=manifest.name)
    return PlacedWorkspace(host_path="/h", guest_path="/root/repo", repositories=[own])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    record = placed(tmp_path)
    save_record(tmp_path, record)
    assert load_record(tmp_path, "/root/repo") == record
    assert load_record(tmp_path, "/root/other") is None


def test_files_of_the_record_before_are_removed(tmp_path: Path) -> None:
    for _ in range(3):
        record = placed(tmp_path)
        save_record(tmp_path, record)
    other = file_beside(tmp_path, "/root/other", "manifest")
    other.write_bytes(b"")
    save_record(tmp_path, record)
    assert len(list((tmp_path / "workspaces").iterdir())) == 3
    assert other.exists()


def test_a_record_that_is_damaged_or_has_lost_its_files_is_none(tmp_path: Path) -> None:
    record = placed(tmp_path)
    save_record(tmp_path, record)
    (tmp_path / "workspaces" / record.repositories[0].manifest).unlink()
    assert load_record(tmp_path, "/root/repo") is None
    save_record(tmp_path, placed(tmp_path))
    json = next((tmp_path / "workspaces").glob("*.json"))
    json.write_text('{"host_path": 1}')
    assert load_record(tmp_path, "/root/repo") is None
