"""When KVM cannot be tried the reason is told; an answer is kept for one boot."""

import json
import platform
from pathlib import Path

import pytest

from shared.vmm.accelerator import Accel, Accelerator, configured, detect, kvm_obstacle, probe_argv


def test_a_host_without_kvm_says_so(tmp_path: Path) -> None:
    assert "does not exist" in (kvm_obstacle(tmp_path / "kvm") or "")


def test_a_device_that_can_be_opened_is_no_obstacle(tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch(0o600)
    assert kvm_obstacle(device) is None


def test_the_answer_of_this_boot_is_not_asked_for_again(tmp_path: Path) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    entry = {"accel": "tcg", "reason": "kept", "tsc_khz": 5}
    (tmp_path / "accelerator.json").write_text(json.dumps({f"{boot} kernel": entry}))
    assert detect(tmp_path / "kernel", tmp_path) == Accelerator(Accel.TCG, "kept", 5)


def test_the_probe_asks_for_nothing_but_kvm(tmp_path: Path) -> None:
    argv = probe_argv(tmp_path, tmp_path / "initrd")
    assert argv[argv.index("-accel") + 1] == "kvm"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have no such counter")
def test_an_emulated_guest_is_told_its_clock_also_when_the_configuration_names_tcg() -> None:
    assert configured(Accel.TCG).tsc_khz


def test_kvm_has_a_clock_of_its_own() -> None:
    assert configured(Accel.KVM).tsc_khz is None
