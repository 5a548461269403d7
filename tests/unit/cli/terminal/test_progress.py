"""One line for a partial."""

import pytest

from cli.terminal.progress import describe


@pytest.mark.parametrize(
    ("partial", "shown"),
    [
        ({"stage": "boot", "message": "waiting"}, "boot: waiting"),
        ({"stage": "squash", "message": "packing", "fraction": 0.4}, "squash: packing (40 %)"),
        ({"stage": "boot", "message": ""}, "boot"),
        ({"stage": "boot", "message": "", "fraction": None}, "boot"),
    ],
)
def test_a_partial_is_one_line(partial: dict[str, object], shown: str) -> None:
    assert describe(partial) == shown
