"""Firecracker is chosen where nothing speaks against it, and what does is told."""

from pathlib import Path

import pytest

from shared.config import Config, NatConfig
from shared.contract.messages.vm import NetworkMode, VmmWanted
from shared.errors import BangerError, Code
from shared.vmm import choice as vmm_choice
from shared.vmm.choice import Choice, choose, probe_config
from shared.vmm.probe import BootScopedCache


@pytest.fixture
def binary(tmp_path: Path) -> str:
    path = tmp_path / "firecracker"
    path.write_text("#!/bin/sh\necho Firecracker v1.12.1\n")
    path.chmod(0o755)
    return str(path)


def decide(
    run: Path, binary: str, wanted: VmmWanted = "auto", network: NetworkMode = "bridge"
) -> Choice:
    config = Config(nat=NatConfig(enabled=True), firecracker_bin=binary)
    kernel = run / "kernel"
    return choose(wanted, network=network, config=config, kernel=kernel, run=run)


def answer_probe(run: Path, binary: str, failure: str | None) -> None:
    BootScopedCache(run / "firecracker.json", f"kernel {binary}").write({"failure": failure})


@pytest.fixture(autouse=True)
def openable(monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/kvm is the host's business; what a guest in it does is answered by ``answer_probe``."""
    monkeypatch.setattr(vmm_choice, "kvm_obstacle", lambda: None)


def test_where_a_probe_guest_ran_firecracker_is_chosen(tmp_path: Path, binary: str) -> None:
    answer_probe(tmp_path, binary, None)
    chosen = decide(tmp_path, binary)
    assert chosen == Choice("firecracker", "Firecracker 1.12.1, KVM runs its guests here")


def test_where_it_did_not_qemu_is_and_says_why(tmp_path: Path, binary: str) -> None:
    answer_probe(tmp_path, binary, "it died")
    assert decide(tmp_path, binary) == Choice("qemu", "Firecracker needs KVM: it died")


def test_a_missing_binary_is_the_reason_for_qemu(tmp_path: Path) -> None:
    chosen = decide(tmp_path, "no-such-firecracker")
    assert chosen.vmm == "qemu"
    assert "no-such-firecracker" in chosen.reason


@pytest.mark.parametrize(
    ("failure", "network", "code"),
    [("it died", "bridge", Code.INCOMPATIBLE), (None, "user", Code.INCOMPATIBLE)],
)
def test_what_was_asked_for_and_cannot_be_is_refused(
    tmp_path: Path, binary: str, failure: str | None, network: NetworkMode, code: Code
) -> None:
    answer_probe(tmp_path, binary, failure)
    with pytest.raises(BangerError) as caught:
        decide(tmp_path, binary, "firecracker", network)
    assert caught.value.code is code
    assert "--vmm qemu" in caught.value.hint


def test_qemu_is_had_for_the_asking(tmp_path: Path, binary: str) -> None:
    answer_probe(tmp_path, binary, None)
    assert decide(tmp_path, binary, "qemu").vmm == "qemu"


def test_in_user_mode_nothing_is_looked_for(tmp_path: Path) -> None:
    chosen = decide(tmp_path, "no-such-firecracker", network="user")
    assert chosen == Choice("qemu", "for its user-mode network")


def test_accel_tcg_rules_firecracker_out(tmp_path: Path) -> None:
    config = Config(nat=NatConfig(enabled=True), accel="tcg")
    chosen = choose("auto", network="bridge", config=config, kernel=tmp_path, run=tmp_path)
    assert chosen == Choice("qemu", "Firecracker needs KVM, and accel = tcg forbids it")


def test_the_probe_has_no_drive_and_no_network(tmp_path: Path) -> None:
    config = probe_config(tmp_path, tmp_path / "initrd")
    assert config["drives"] == []
    assert "network-interfaces" not in config
