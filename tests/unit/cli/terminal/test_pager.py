"""Which pager, and what becomes of one that is not there or has seen enough."""

from pathlib import Path

import pytest

from cli.terminal.pager import DEFAULT, page, pager


@pytest.fixture(autouse=True)
def _no_pager(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BANGER_PAGER", "PAGER"):
        monkeypatch.delenv(name, raising=False)


def test_our_own_variable_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "less").write_text("#!/bin/sh\n")
    (tmp_path / "less").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pager() == DEFAULT
    monkeypatch.setenv("PAGER", "more")
    assert pager() == "more"
    monkeypatch.setenv("BANGER_PAGER", "most -x")
    assert pager() == "most -x"


def test_without_any_it_is_just_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert pager() == ""
    page(lambda: ["one", "two"])
    assert capsys.readouterr().out == "one\ntwo\n"


def test_one_that_is_not_there_gives_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAGER", "no-such-pager")
    page(lambda: ["one"])
    assert capsys.readouterr().out == "one\n"


def test_the_reader_may_leave_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "head -n 1 >/dev/null")
    page(lambda: (f"line {number}" for number in range(100_000)))


def test_lines_reach_the_pager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PAGER", f"cat >{tmp_path}/seen")
    page(lambda: ["grün", "\tb"])
    assert (tmp_path / "seen").read_text() == "grün\n\tb\n"
