"""When the note about ip_forward counts, and when it is of no meaning any more."""

import json
from pathlib import Path

import pytest

from services.nat.kernel.sysctl import Loan

THIS_BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def loan(tmp_path: Path, note: str) -> Loan:
    path = tmp_path / "ip_forward.json"
    path.write_text(note)
    return Loan(path)


def test_note_of_this_boot_is_an_open_loan(tmp_path: Path) -> None:
    assert loan(tmp_path, json.dumps({"previous": "0", "boot_id": THIS_BOOT})).is_open()


def test_without_a_note_nothing_is_owed(tmp_path: Path) -> None:
    assert not Loan(tmp_path / "ip_forward.json").is_open()


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
def test_note_that_cannot_be_believed_is_none(tmp_path: Path, note: str) -> None:
    assert not loan(tmp_path, note).is_open()


def test_giving_back_without_a_loan_removes_the_useless_note(tmp_path: Path) -> None:
    stale = loan(tmp_path, json.dumps({"previous": "0", "boot_id": "of-another-boot"}))
    stale.give_back()
    assert not stale.note.exists()
