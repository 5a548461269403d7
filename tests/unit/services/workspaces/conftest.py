"""This machine as the guest of the tests here."""

from collections.abc import Iterator

import pytest

from services.workspaces.guest import scripts
from shared.contract.ssh_access import Access
from tests.workspaces import BUSYBOX, local_guest


@pytest.fixture
def guest_access(monkeypatch: pytest.MonkeyPatch) -> Iterator[Access]:
    monkeypatch.setattr(scripts, "SHELL", BUSYBOX)
    with local_guest() as access:
        yield access
