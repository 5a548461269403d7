"""This machine as the guest of the tests here."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.images.provision import copy
from services.images.provision.commands import GuestCommands
from tests.scripted.local_guest import LocalGuest, local_guest


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalGuest]:
    (tmp_path / "vm").mkdir()
    monkeypatch.setattr(copy, "BUSYBOX", shutil.which("busybox"))
    with local_guest(tmp_path / "vm", monkeypatch) as made:
        yield made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def commands(local: LocalGuest, said: list[str]) -> GuestCommands:
    return GuestCommands(local.access, said.append)
