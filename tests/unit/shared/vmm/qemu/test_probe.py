"""The accelerator that QEMU gets: asked of a guest once per boot, or named by the configuration."""

import json
import platform
from pathlib import Path

import pytest

from shared.config import Config
from shared.vmm.accelerator import Accel, Accelerator
from shared.vmm.info import LaunchContext
from shared.vmm.qemu.info import Qemu
from shared.vmm.qemu.probe import configured, detect, probe_argv


def test_the_answer_of_this_boot_is_not_asked_for_again(tmp_path: Path) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    entry = {"accel": "tcg", "reason": "kept", "tsc_khz": 5}
    (tmp_path / "accelerator.json").write_text(json.dumps({f"{boot} kernel": entry}))
    context = LaunchContext(Config(), tmp_path / "kernel", tmp_path)
    assert detect(context) == Accelerator(Accel.TCG, "kept", 5)


def test_the_probe_asks_the_configured_qemu_for_nothing_but_kvm(tmp_path: Path) -> None:
    argv = probe_argv("/opt/qemu", tmp_path, tmp_path / "initrd")
    assert argv[0] == "/opt/qemu"
    assert argv[argv.index("-accel") + 1] == "kvm"


def test_what_the_configuration_names_is_not_probed(tmp_path: Path) -> None:
    context = LaunchContext(Config(accel="kvm"), tmp_path / "kernel", tmp_path)
    assert Qemu().accelerator(context) == configured(Accel.KVM)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have no such counter")
def test_an_emulated_guest_is_told_its_clock_also_when_the_configuration_names_tcg() -> None:
    assert configured(Accel.TCG).tsc_khz


def test_kvm_has_a_clock_of_its_own() -> None:
    assert configured(Accel.KVM).tsc_khz is None
