"""How a plan reads."""

import io
import os
from pathlib import Path

import pytest

from cli.commands.vm.workspace.plan import host_path, names, summary
from shared.bus.record import Record
from shared.errors import BangerError
from tests.unit.cli.commands.vm.workspace.answers import plan


def test_an_empty_repository_has_no_history() -> None:
    empty = plan(mode="empty", commit="", branch="", untracked=0, submodules=["lib/a"])
    assert list(summary(Record(empty))) == [  # type: ignore[arg-type]
        "repository  /src/app",
        "guest       /root/repo",
        "history     empty: none",
        "files       12, of these 3 sent (2K)",
        "submodules  lib/a",
    ]


def test_names_end_where_their_nul_is() -> None:
    long = b"x" * 100_000
    assert list(names(io.BytesIO(b"a\0" + long + b"\0b\nc\0"))) == [b"a", long, b"b\nc"]
    assert list(names(io.BytesIO(b""))) == []


def test_a_path_is_made_absolute_and_has_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    assert host_path("a/../a") == os.fspath(tmp_path / "a")
    with pytest.raises(BangerError) as raised:
        host_path("ls")
    assert raised.value.hint == "a command for the guest comes after --"
