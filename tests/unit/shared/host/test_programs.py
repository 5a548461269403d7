"""Programs are found where the user says, and in sbin where he does not."""

import os
from pathlib import Path

import pytest

from shared.host.programs import (
    SYSTEM_PATH,
    chosen_environment,
    find_program,
    program_environment,
    search_path,
)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "mke2fs"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_users_own_path_comes_first(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_program("mke2fs") == str(program)
    assert search_path() == f"{program.parent}{os.pathsep}{SYSTEM_PATH}"


def test_the_systems_directories_are_searched_without_a_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PATH", raising=False)
    assert search_path() == SYSTEM_PATH
    assert find_program("sh") is not None


def test_what_is_nowhere_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("no-such-program-anywhere") is None


OF_A_TERMINAL = {
    "PATH": "/bin",
    "LC_ALL": "C",
    "XDG_STATE_HOME": "/s",
    "BANGER_RUN_DIR": "/r",
    "https_proxy": "http://me:secret@proxy",
    "GITHUB_TOKEN": "secret",
    "SSH_AUTH_SOCK": "/tmp/agent",
    "LD_PRELOAD": "/x.so",
    "HOMEPAGE": "secret",
}


def test_service_gets_no_token_of_the_command_that_starts_it() -> None:
    chosen = chosen_environment(OF_A_TERMINAL)
    assert set(chosen) == {"PATH", "LC_ALL", "XDG_STATE_HOME", "BANGER_RUN_DIR", "https_proxy"}


def test_vmm_gets_no_proxy_either() -> None:
    assert "secret" not in str(program_environment(OF_A_TERMINAL))
