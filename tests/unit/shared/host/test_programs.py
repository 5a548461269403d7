"""Programs are found where the user says, and in sbin where he does not; ours start isolated."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.host import programs
from shared.host.programs import (
    SYSTEM_PATH,
    child_argv,
    chosen_environment,
    find_program,
    isolated_argv,
    isolation,
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


def test_a_module_is_run_by_this_interpreter_and_isolated() -> None:
    own = [sys.executable, "-I", "-m", "banger", "services.store", "--word"]
    assert isolated_argv("services.store", "--word") == own


def test_where_banger_is_in_the_users_own_packages_these_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = str(Path(programs.__file__).parents[2])
    monkeypatch.setattr("site.USER_SITE", there)
    assert isolation() == ("-E", "-P")
    monkeypatch.setattr("site.USER_SITE", f"{there}-other")
    assert isolation() == ("-I",)


def test_children_are_as_isolated_as_their_parent() -> None:
    script = "from shared.host.programs import child_argv; print(*child_argv('m')[1:])"
    for flags, expected in (((), "-m banger m"), (("-I",), "-I -m banger m")):
        done = subprocess.run(
            [sys.executable, *flags, "-c", script], capture_output=True, text=True, timeout=20
        )
        assert done.stdout.strip() == expected
    assert child_argv("m")[0] == sys.executable


def test_no_directory_of_ours_decides_what_an_isolated_module_imports(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/__init__.py").write_text("raise SystemExit('foreign code')")
    done = subprocess.run(
        isolated_argv("services.launcher", "--help"),
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout.startswith("usage: banger-launcher")


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
