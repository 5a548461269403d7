"""How a run of the suite is told."""

import json

import pytest

from scripts.smoke.result import (
    Outcome,
    Result,
    as_json,
    closing_line,
    exit_status,
    repeated_line,
)


def result(outcome: Outcome, reason: str = "") -> Result:
    return Result("bare-run", "runs", outcome, 1.25, reason, "$ banger vm list\n# exit status 1",
                  ("logs/api.log",))  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "line", "status"),
    [
        (["passed", "passed"], "smoke: 2 passed, 0 failed, 0 skipped", 0),
        (["passed", "skipped"], "smoke: 1 passed, 0 failed, 1 skipped", 0),
        (["passed", "failed"], "smoke: 1 passed, 1 failed, 0 skipped", 1),
        (["repeated", "passed"], "smoke: 1 passed, 0 failed, 0 skipped", 0),
        (["repeated", "failed"], "smoke: 0 passed, 1 failed, 0 skipped", 1),
        (["skipped"], "smoke: 0 passed, 0 failed, 1 skipped", 1),
        ([], "smoke: 0 passed, 0 failed, 0 skipped", 1),
    ],
)
def test_the_closing_line_and_the_status(outcomes: list[Outcome], line: str, status: int) -> None:
    results = [result(outcome) for outcome in outcomes]
    assert closing_line(results) == line
    assert exit_status(results) == status


def test_a_line_has_the_seconds_and_why_one_was_skipped() -> None:
    assert result("passed").line().split() == ["ok", "1.2", "s", "runs/bare-run"]
    assert result("skipped", "no dig").line().endswith("runs/bare-run: no dig")


def test_a_failure_shows_command_and_logs() -> None:
    assert result("failed", "exit status: 1, wanted 0").details().splitlines() == [
        "  exit status: 1, wanted 0",
        "  $ banger vm list",
        "  # exit status 1",
        "  logs:",
        "    logs/api.log",
    ]


def test_json_has_all_of_it() -> None:
    found = json.loads(as_json([result("failed", "why")], 61.04))
    assert found["seconds"] == 61.0
    assert found["scenarios"][0]["reason"] == "why"
    assert found["scenarios"][0]["logs"] == ["logs/api.log"]


def test_what_was_played_again_is_named() -> None:
    assert repeated_line([result("passed")]) == ""
    assert repeated_line([result("repeated")]) == "smoke: failed first and played again: bare-run"
