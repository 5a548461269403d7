"""When KVM cannot be tried the reason is told."""

from pathlib import Path

from shared.vmm.accelerator import kvm_obstacle


def test_a_host_without_kvm_says_so(tmp_path: Path) -> None:
    assert "does not exist" in (kvm_obstacle(tmp_path / "kvm") or "")


def test_a_device_that_can_be_opened_is_no_obstacle(tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch(0o600)
    assert kvm_obstacle(device) is None
