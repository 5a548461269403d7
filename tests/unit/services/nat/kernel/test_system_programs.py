"""Where the system's programs are looked for, and what is said of one that cannot be run."""

from pathlib import Path

import pytest

from services.nat.kernel import system_programs
from shared.errors import BangerError, Code


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of the system that repeats its input, or never ends when told to wait."""
    script = tmp_path / "scripted"
    script.write_text('#!/bin/sh\n[ "$1" = wait ] && exec sleep 60\ncat\nexit 3\n')
    script.chmod(0o755)
    monkeypatch.setattr(system_programs, "SYSTEM_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return script


def test_it_is_found_without_the_users_path_and_its_status_is_the_callers_to_judge(
    scripted: Path,
) -> None:
    assert system_programs.find("scripted") == str(scripted)
    done = system_programs.run("scripted", text="input")
    assert (done.returncode, done.stdout) == (3, "input")


def test_one_that_does_not_end_is_named_in_the_error(
    scripted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_programs, "TIMEOUT", 0.05)
    with pytest.raises(BangerError, match="scripted could not be run") as caught:
        system_programs.run("scripted", "wait")
    assert caught.value.code is Code.UNAVAILABLE


def test_one_that_is_not_there_is_named_in_the_error(scripted: Path) -> None:
    assert system_programs.find("no-such-program") is None
    with pytest.raises(BangerError, match="no-such-program could not be run"):
        system_programs.run("no-such-program")
