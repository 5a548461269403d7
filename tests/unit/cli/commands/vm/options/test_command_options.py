"""Variables of a command: from files, from the command line, from here."""

from pathlib import Path

import pytest

from cli.commands.vm.options.command_options import variables
from shared.errors import BangerError, Code


def test_a_name_alone_takes_the_value_it_has_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "a b")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert variables([], [("HERE", None), ("NOWHERE", None), ("A", "")]) == {"HERE": "a b", "A": ""}


def test_files_are_read_as_docker_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERE", "x")
    path = tmp_path / "env"
    path.write_text("# comment\n\n  A=1 # kept\r\nB='quoted'\nHERE\nC=from the file\n")
    chosen = variables([str(path)], [("C", "given")])
    assert chosen == {"A": "1 # kept", "B": "'quoted'", "HERE": "x", "C": "given"}


def test_a_wrong_line_is_named_without_its_value(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("A=1\nnot a name=secret\n")
    with pytest.raises(BangerError) as raised:
        variables([str(path)], [])
    assert raised.value.message == f"{path}:2: not NAME=VALUE or NAME"
    assert raised.value.code is Code.USAGE


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as raised:
        variables([str(tmp_path / "no")], [])
    assert raised.value.code is Code.NOT_FOUND
