"""Directories and the database, as doctor sees them."""

import os
import pwd
from pathlib import Path

import pytest

from cli.doctor.storage import (
    FAIL_BELOW,
    SQLITE,
    WARN_BELOW,
    run_directory,
    space,
    store,
    vanishes_at_logout,
)
from shared.config import Config
from shared.host.locks import join
from shared.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return paths_in(tmp_path, tmp_path / "run")


def paths_in(root: Path, run: Path) -> Paths:
    return Paths(root / "config", root / "data", root / "state", run)


def test_no_database_is_fine_on_a_fresh_install_and_none_is_made(paths: Paths) -> None:
    (result,) = store(paths, Config())
    assert result.status == "PASS"
    assert not paths.state.exists()


@pytest.mark.parametrize(
    ("content", "status"), [(SQLITE + b"rest", "PASS"), (b"", "PASS"), (b"a letter", "FAIL")]
)
def test_a_database_is_known_by_its_first_bytes(paths: Paths, content: bytes, status: str) -> None:
    paths.state.mkdir()
    paths.database.write_bytes(content)
    (result,) = store(paths, Config())
    assert result.status == status


def test_a_database_elsewhere_is_not_looked_for_here(paths: Paths) -> None:
    (result,) = store(paths, Config(database_url="postgresql://somewhere"))
    assert result.status == "PASS"


def test_a_run_directory_open_to_others_fails_with_the_remedy(tmp_path: Path) -> None:
    run = Path(f"/tmp/{tmp_path.name}-run")
    run.mkdir(mode=0o755)
    try:
        (result,) = run_directory(paths_in(tmp_path, run), Config())
    finally:
        run.rmdir()
    assert (result.status, result.hint) == ("FAIL", f"chmod 700 {run}")


def test_a_run_directory_that_goes_at_log_out_is_named_unless_its_user_lingers(
    tmp_path: Path,
) -> None:
    run, linger = tmp_path / "user/0/banger", tmp_path / "linger"
    linger.mkdir()
    assert vanishes_at_logout(run, tmp_path / "user", linger)
    (linger / pwd.getpwuid(os.geteuid()).pw_name).touch()
    assert not vanishes_at_logout(run, tmp_path / "user", linger)
    assert not vanishes_at_logout(tmp_path / "run", tmp_path / "user", linger)


def test_the_hint_about_a_log_out_names_the_command(tmp_path: Path) -> None:
    found = list(run_directory(paths_in(tmp_path, Path("/run/user/4242/banger")), Config()))
    assert [result.status for result in found] == ["PASS", "WARN"]
    assert "loginctl enable-linger" in found[1].hint


def test_a_state_served_from_elsewhere_fails_with_what_to_set(paths: Paths) -> None:
    paths.state.mkdir()
    there = paths.state / "there"
    there.mkdir()
    membership = join(paths.state, there)
    (result,) = run_directory(paths, Config())
    membership.release()
    assert (result.status, result.hint) == ("FAIL", f"set BANGER_RUN_DIR={there}")


@pytest.mark.parametrize(
    ("free", "status"),
    [
        (FAIL_BELOW - 1, "FAIL"),
        (FAIL_BELOW, "WARN"),
        (WARN_BELOW - 1, "WARN"),
        (WARN_BELOW, "PASS"),
    ],
)
def test_little_space_warns_and_none_fails(free: int, status: str) -> None:
    assert space("data disk", "", free).status == status
