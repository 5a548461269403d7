"""Directories and the database, as doctor sees them."""

from pathlib import Path

import pytest

from cli.doctor.storage import FAIL_BELOW, SQLITE, WARN_BELOW, run_directory, space, store
from shared.config import Config
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
