"""Codes, exit statuses, and the way of an error over the wire."""

import re
from pathlib import Path

import pytest

from shared.errors import BangerError, Code

DOCUMENT = Path(__file__).parents[3] / "docs" / "protocol.md"


def documented_statuses() -> dict[str, int]:
    """Code -> exit status from the table of docs/protocol.md section 6."""
    section = DOCUMENT.read_text().split("## 6. Errors")[1].split("## 7.")[0]
    rows = re.findall(r"^\| (`.+`) \| (\d+) \|", section, re.MULTILINE)
    return {code: int(status) for codes, status in rows for code in re.findall(r"`(\w+)`", codes)}


def test_documented_codes_are_the_codes_there_are() -> None:
    assert set(documented_statuses()) == {code.value for code in Code}


@pytest.mark.parametrize("code", Code)
def test_exit_status_is_the_documented_one(code: Code) -> None:
    assert BangerError(code, "x").exit_status == documented_statuses()[code.value]


def test_error_comes_back_whole() -> None:
    error = BangerError(Code.AMBIGUOUS, "b?", hint="name it", details={"candidates": ["b1", "b2"]})
    assert BangerError.from_wire(error.to_wire()).to_wire() == error.to_wire()


@pytest.mark.parametrize("code", ["later_code", "", None, 7, [], {}])
def test_code_of_a_newer_program_is_taken_as_internal(code: object) -> None:
    error = BangerError.from_wire({"code": code, "message": "m"})
    assert (error.code, error.message, error.hint, error.details) == (Code.INTERNAL, "m", "", {})


def test_empty_error_is_still_an_error() -> None:
    assert BangerError.from_wire({"details": "not a map"}).message == "unknown error"


def test_error_fits_in_one_line_with_what_to_do() -> None:
    assert BangerError(Code.DENIED, "no", hint="ask root").to_line() == "no; ask root"
    assert BangerError(Code.DENIED, "no").to_line() == "no"
