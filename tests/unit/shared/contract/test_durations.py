"""Durations as users write and read them."""

import pytest

from shared.contract.durations import parse_duration, show_duration
from shared.errors import BangerError, Code


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), (" 1H ", 3600)],
)
def test_a_duration_is_read_with_its_units(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "1.5h", "-1", "30m1h", "1 h", "²", "9" * 10, "nan"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BangerError) as caught:
        parse_duration(text)
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0s"), (45, "45s"), (1800, "30m"), (5400, "1h 30m"), (90061, "1d 1h")],
)
def test_a_duration_is_shown_by_its_two_largest_units(seconds: float, shown: str) -> None:
    assert show_duration(seconds) == shown
