"""Names of snapshots, their holds, and what a restore takes away."""

import os
from pathlib import Path

import pytest

from services.api.policy.snapshot_rules import (
    SnapshotHolds,
    last_written,
    losses,
    name_of_time,
    refuse_losses,
)
from shared.contract.messages.vm import State
from shared.errors import BangerError, Code
from shared.vm import files

CREATED = "2026-11-29T11:30:00.000Z"
BEFORE, AFTER = 0.0, 4e9


def test_a_time_that_is_taken_gets_a_number() -> None:
    time = "2026-11-29-1130"
    assert name_of_time(time, []) == time
    assert name_of_time(time, [time, f"{time}-2"]) == f"{time}-3"


@pytest.mark.parametrize(
    ("state", "written", "number"),
    [
        ("running", BEFORE, 2),
        ("paused", AFTER, 2),
        ("suspended", BEFORE, 1),
        ("suspended", AFTER, 2),
        ("stopped", BEFORE, 0),
        ("stopped", AFTER, 1),
        ("created", BEFORE, 0),
        ("failed", AFTER, 1),
    ],
)
def test_what_has_changed_since_is_lost(state: State, written: float, number: int) -> None:
    lost = losses("web", state, written, CREATED)
    assert len(lost) == number
    if lost:
        with pytest.raises(BangerError) as refused:
            refuse_losses("web", "one", lost)
        assert (refused.value.code, refused.value.details) == (Code.CONFLICT, {"lost": lost})
    else:
        refuse_losses("web", "one", lost)


def test_the_disk_that_was_written_to_last_counts(tmp_path: Path) -> None:
    assert last_written(tmp_path) == 0
    for name, time in ((files.OVERLAY, 100), (files.WORK_DISK, 200)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time, time))
    assert last_written(tmp_path) == 200


def test_what_is_in_use_is_not_deleted() -> None:
    holds = SnapshotHolds()
    with holds.held("a", "one"), holds.held("a", "one"):
        holds.refuse_held("a", "two")
        with pytest.raises(BangerError) as refused:
            holds.refuse_held("a", "one")
        assert refused.value.code is Code.CONFLICT
    holds.refuse_held("a", "one")
