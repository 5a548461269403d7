"""What a program says of itself, or why it says nothing."""

from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.vmm import own_version as under_test
from shared.vmm.own_version import own_version


def program(directory: Path, script: str) -> Path:
    path = directory / "vmm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_what_it_prints_is_returned(tmp_path: Path) -> None:
    said = own_version(program(tmp_path, 'echo "$1 7.2"; printf "\\377"'), "install it")
    assert said == "--version 7.2\n\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("script", ["", "exec sleep 60"])
def test_one_that_cannot_be_run_or_hangs_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(under_test, "SAY_SECONDS", 0.2)
    path = program(tmp_path, script) if script else tmp_path / "none"
    with pytest.raises(BangerError) as refused:
        own_version(path, "install it")
    assert (refused.value.code, refused.value.hint) == (Code.MISSING_TOOL, "install it")
