"""Room for all copies, or a sentence with what is missing."""

from pathlib import Path

import pytest

from services.api.policy import copy_room
from services.api.policy.copy_room import (
    available_memory,
    require_copies,
    require_processors,
    starts_at_once,
    usable_processors,
)
from shared.errors import BangerError, Code

MIB = 1 << 20


def test_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_room, "available_memory", lambda: 1000 * MIB)
    require_copies(tmp_path, 8, 1, 100 * MIB)


def test_memory_for_all_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_room, "available_memory", lambda: 1000 * MIB)
    with pytest.raises(BangerError) as refused:
        require_copies(tmp_path, 9, 1, 100 * MIB)
    assert refused.value.code is Code.NO_SPACE
    assert "all 9 copies need 1028 MiB, 1000 MiB is available" in refused.value.message


def test_copies_without_memory_need_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_room, "available_memory", lambda: 0)
    require_copies(tmp_path, 9, 1, 0)


def test_disks_for_all_are_counted(tmp_path: Path) -> None:
    require_copies(tmp_path, 1, 1, 0)
    with pytest.raises(BangerError, match="all 1000 copies need") as refused:
        require_copies(tmp_path, 1000, 1 << 50, 0)
    assert refused.value.code is Code.NO_SPACE


def test_this_host_has_memory() -> None:
    assert available_memory() > MIB


def test_copies_that_run_at_once_are_bound_by_processors() -> None:
    require_processors(20, 2)
    with pytest.raises(
        BangerError, match=r"21 running copies .* the 2 of this host are enough for 20"
    ) as no:
        require_processors(21, 2)
    assert no.value.code is Code.NO_SPACE
    assert "make 20 copies or fewer" in no.value.hint


def test_a_large_host_starts_some_more_at_once() -> None:
    assert [starts_at_once(processors) for processors in (1, 2, 64)] == [2, 4, 16]
    assert usable_processors() >= 1
