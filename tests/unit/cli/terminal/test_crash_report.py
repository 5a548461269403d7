"""Where a traceback goes."""

import json

import pytest

from cli.terminal.crash_report import record
from tests.unit.cli.conftest import Cli


@pytest.fixture
def failure(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Exception:
    monkeypatch.setenv("XDG_STATE_HOME", cli.env["XDG_STATE_HOME"])
    try:
        raise LookupError("a bug")
    except LookupError as error:
        return error


def test_the_log_has_the_whole_of_it(cli: Cli, failure: Exception) -> None:
    path = record(failure)
    assert path == cli.paths.log_file("cli")
    entry = json.loads(path.read_text())
    assert entry["message"] == "LookupError: a bug"
    assert 'raise LookupError("a bug")' in entry["traceback"]


def test_what_cannot_be_written_is_left(cli: Cli, failure: Exception) -> None:
    cli.paths.state.parent.mkdir()
    cli.paths.state.write_text("a file where a directory should be")
    assert record(failure) is None
