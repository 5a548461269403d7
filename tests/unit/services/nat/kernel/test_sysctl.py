"""When the note about ip_forward is used, and when it is ignored."""

import json
from pathlib import Path

import pytest

from services.nat.kernel.sysctl import IpForward

THIS_BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def saved(tmp_path: Path, note: str) -> IpForward:
    path = tmp_path / "ip_forward.json"
    path.write_text(note)
    return IpForward(path)


def test_note_of_this_boot_is_an_open_saved(tmp_path: Path) -> None:
    assert saved(tmp_path, json.dumps({"previous": "0", "boot_id": THIS_BOOT})).is_saved()


def test_without_a_note_there_is_nothing_to_restore(tmp_path: Path) -> None:
    assert not IpForward(tmp_path / "ip_forward.json").is_saved()


@pytest.mark.parametrize(
    "note",
    [
        json.dumps({"previous": "0", "boot_id": "of-another-boot"}),
        json.dumps({"boot_id": THIS_BOOT}),
        json.dumps(["previous"]),
        '{"previous": "0", "boo',
        "",
    ],
    ids=["other-boot", "no-value", "other-form", "cut", "empty"],
)
def test_unusable_note_is_none(tmp_path: Path, note: str) -> None:
    assert not saved(tmp_path, note).is_saved()


def test_restoring_without_a_usable_note_removes_it(tmp_path: Path) -> None:
    stale = saved(tmp_path, json.dumps({"previous": "0", "boot_id": "of-another-boot"}))
    stale.restore()
    assert not stale.note.exists()
