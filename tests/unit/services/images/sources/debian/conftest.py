from pathlib import Path

import pytest

from tests.unit.services.images.sources.debian.machine import BuildMachine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildMachine:
    (tmp_path / "machine").mkdir()
    return BuildMachine(tmp_path / "machine", monkeypatch)
