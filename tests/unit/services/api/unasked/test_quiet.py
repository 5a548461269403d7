"""Whether the machine has nothing else to do, by what the kernel says."""

from pathlib import Path

import pytest

from services.api.unasked.quiet import is_quiet


@pytest.mark.parametrize(("pressure", "quiet"), [("0.00", True), ("19.99", True), ("20.00", False)])
def test_by_pressure(tmp_path: Path, pressure: str, *, quiet: bool) -> None:
    (tmp_path / "pressure").mkdir()
    text = f"some avg10={pressure} avg60=90.00 avg300=1.00 total=5\nfull avg10=0.00\n"
    (tmp_path / "pressure/cpu").write_text(text)
    assert is_quiet(tmp_path, 1, 20.0) is quiet


@pytest.mark.parametrize(("load", "quiet"), [("0.99", True), ("1.00", False)])
def test_by_load_where_there_is_no_pressure(tmp_path: Path, load: str, *, quiet: bool) -> None:
    (tmp_path / "loadavg").write_text(f"{load} 5.00 5.00 1/200 4242\n")
    assert is_quiet(tmp_path, 2, 20.0) is quiet
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure/cpu").write_text("not as it should be\n")
    assert is_quiet(tmp_path, 2, 20.0) is quiet


def test_there_may_be_no_limit(tmp_path: Path) -> None:
    assert is_quiet(tmp_path / "nothing", 1, 100.0)
