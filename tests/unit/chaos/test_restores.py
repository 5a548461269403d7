"""What is wrong with a database after a restore."""

from typing import Any

import pytest

from tests.chaos.restores import wrong

WELL: dict[str, Any] = {
    "integrity": "ok", "sum": 0, "last": 12, "entries": 12, "before": 11, "after": 13,
}  # fmt: skip


@pytest.mark.parametrize(
    "more", [{}, {"before": 12, "after": 12}, {"before": 11, "after": 11}, {"before": 12}]
)
def test_a_database_that_memory_agrees_with_is_well(more: dict[str, Any]) -> None:
    assert wrong(WELL | more) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"integrity": "row 3 is missing"}, "the database is damaged: row 3 is missing"),
        ({"sum": 5}, "money came from nowhere: 5"),
        ({"entries": 11}, "11 entries, and the last is 12"),
        ({"before": 13}, "memory is at 13 to 13, the disk at 12"),
        ({"before": 9, "after": 10}, "memory is at 9 to 10, the disk at 12"),
    ],
)
def test_what_is_wrong_is_told(more: dict[str, Any], words: str) -> None:
    assert wrong(WELL | more) == [words]
