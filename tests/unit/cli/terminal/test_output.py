"""The forms of what commands print."""

import json

import pytest

from cli.terminal.output import (
    Columns,
    ListEntry,
    Settings,
    entry,
    report,
    show_many,
    show_one,
    table_lines,
)
from shared.bus.record import Record
from shared.errors import BangerError, Code

WEB = ListEntry("0123", "web", {"id": "0123", "name": "web", "size": 2}, 2)
DB = ListEntry("4567", "db", {"id": "4567", "name": "db", "size": 10}, 10)
COLUMNS: Columns[int] = {"SIZE": str, "TWICE": lambda size: str(2 * size)}


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["vm", "list", "-o", "json"], True),
        (["vm", "list", "--output", "json"], True),
        (["vm", "list", "-ojson"], True),
        (["vm", "list", "--output=json"], True),
        (["vm", "list", "-o", "name"], False),
        (["vm", "exec", "web", "--", "x", "-o", "json"], False),
        (["vm", "ssh", "web", "x", "-o", "json"], False),
        ([], False),
    ],
)
def test_the_form_of_errors_is_known_before_anything_is_parsed(
    args: list[str], wanted: bool
) -> None:
    assert Settings.guess(args).json_errors is wanted


@pytest.mark.parametrize(
    ("output", "quiet", "printed"),
    [
        ("table", False, "SIZE  TWICE\n2     4\n10    20\n"),
        ("table", True, "0123\n4567\n"),
        ("name", False, "web\ndb\n"),
        ("name", True, "0123\n4567\n"),
    ],
)
def test_a_listing_has_four_forms(
    capsys: pytest.CaptureFixture[str], output: str, quiet: bool, printed: str
) -> None:
    show_many([WEB, DB], COLUMNS, output, quiet=quiet)
    assert capsys.readouterr().out == printed
    show_many([WEB, DB], COLUMNS, "json", quiet=False)
    assert json.loads(capsys.readouterr().out) == [WEB.json, DB.json]


@pytest.mark.parametrize(
    ("output", "quiet", "printed"),
    [
        ("table", False, "size   2\ntwice  4\n"),
        ("table", True, "0123\n"),
        ("name", False, "web\n"),
        ("json", False, json.dumps(WEB.json, indent=2) + "\n"),
    ],
)
def test_one_thing_has_a_line_for_each_field(
    capsys: pytest.CaptureFixture[str], output: str, quiet: bool, printed: str
) -> None:
    show_one(WEB, COLUMNS, output, quiet=quiet)
    assert capsys.readouterr().out == printed


def test_a_result_is_printed_with_its_own_fields() -> None:
    made = entry(Record(id="0123", name="web"))
    assert (made.id, made.name, made.json) == ("0123", "web", {"id": "0123", "name": "web"})


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    assert table_lines(("A", "B"), [("long", ""), ("x", "y")]) == ["A     B", "long", "x     y"]


def test_an_error_is_two_lines_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    error = BangerError(Code.CONFLICT, "web is\nrunning", hint="stop it:\n banger vm stop web")
    assert report(error, Settings()) == 4
    assert capsys.readouterr().err.splitlines() == [
        "error: web is running",
        "hint: stop it: banger vm stop web",
    ]
    assert report(error, Settings(json_errors=True)) == 4
    assert json.loads(capsys.readouterr().err) == {"error": error.to_wire()}


@pytest.mark.parametrize(
    ("code", "told"), [(Code.INTERNAL, True), (Code.TIMEOUT, True), (Code.NOT_FOUND, False)]
)
def test_a_failure_of_ours_names_its_request(
    capsys: pytest.CaptureFixture[str], code: Code, told: bool
) -> None:
    report(BangerError(code, "no", details={"request_id": "3f2a" * 8}), Settings())
    assert ("--request 3f2a3f2a3f2a\n" in capsys.readouterr().err) is told
