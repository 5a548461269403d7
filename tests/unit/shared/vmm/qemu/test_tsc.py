"""The time stamp counter's frequency, where there is one."""

import platform

import pytest

from shared.vmm.qemu.tsc import host_tsc_khz


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs the x86-64 counter")
def test_two_measurements_agree_to_a_thousandth() -> None:
    first, second = host_tsc_khz(), host_tsc_khz()
    assert first
    assert second
    assert 100_000 < first < 20_000_000  # 100 MHz to 20 GHz
    assert abs(first - second) < first / 1000


def test_machine_without_the_counter_has_no_frequency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert host_tsc_khz() is None
