"""Sizes and times as they are shown."""

import pytest

from cli.terminal.formatting import counted, show_size, show_time


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (8 << 30, "8G"),
        (512 << 20, "512M"),
        (75_000_000, "71.5M"),
        (0, "0B"),
        (1000, "1000B"),
        (2427, "2.4K"),
    ],
)
def test_a_size_is_short_and_exact_where_it_can_be(size: int, shown: str) -> None:
    assert show_size(size) == shown


def test_a_time_is_shown_to_the_minute() -> None:
    assert show_time("2026-11-22T09:30:12.123Z") == "2026-11-22 09:30"
    assert show_time("unknown") == "unknown"


def test_one_thing_is_told_from_several() -> None:
    assert [counted(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
