"""Which boot of the host this is."""

from pathlib import Path

import pytest

from shared.host.boot_id import host_boot_id


def test_the_kernels_own_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANGER_HOST_BOOT_ID", raising=False)
    assert host_boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_another_boot_can_be_pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANGER_HOST_BOOT_ID", "another boot")
    assert host_boot_id() == "another boot"
