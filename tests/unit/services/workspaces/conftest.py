"""This machine as the guest of the tests here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repositories import ordinary
from tests.scripted.local_guest import LocalGuest, local_guest
from tests.workspaces import LocalWorkspace, place


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalGuest]:
    (tmp_path / "vm").mkdir()
    with local_guest(tmp_path / "vm", monkeypatch) as made:
        yield made


@pytest.fixture
def workspace(tmp_path: Path, local: LocalGuest) -> LocalWorkspace:
    """An ordinary repository, placed in a guest."""
    return place(ordinary(tmp_path / "host"), local)
