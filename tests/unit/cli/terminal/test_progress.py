"""One line for a partial."""

import pytest

from cli.terminal.progress import Progress, describe


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


def test_each_stage_of_each_request_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as shown:
        for name in ("web", "db", "web"):
            shown.of(name)({"stage": "boot", "message": "waiting"})
        shown({"stage": "boot", "message": "waiting"})
    assert capsys.readouterr().err == "web: boot: waiting\ndb: boot: waiting\nboot: waiting\n"
