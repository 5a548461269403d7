"""Firecracker is had where nothing speaks against it; an obstacle is told as what it is."""

import os
from pathlib import Path

import pytest

from shared.config import Config, FirecrackerConfig, NatConfig
from shared.errors import BangerError, Code
from shared.vmm.firecracker import probe
from shared.vmm.firecracker.info import Firecracker
from shared.vmm.firecracker.probe import probe_config
from shared.vmm.info import LaunchContext
from shared.vmm.probe import BootScopedCache


@pytest.fixture
def binary(tmp_path: Path) -> str:
    path = tmp_path / "firecracker"
    path.write_text("#!/bin/sh\necho Firecracker v1.12.1\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def openable(monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/kvm is the host's business; what a guest in it does is answered by ``answer_probe``."""
    monkeypatch.setattr(probe, "kvm_obstacle", lambda: None)


def check(run: Path, config: Config) -> str:
    return Firecracker().check(LaunchContext(config, run / "kernel", run))


def obstacle(run: Path, config: Config) -> BangerError:
    with pytest.raises(BangerError) as caught:
        check(run, config)
    return caught.value


def answer_probe(run: Path, binary: str, failure: str | None) -> None:
    cache = BootScopedCache(run / "firecracker.json", f"kernel {binary}")
    cache.write({"failure": failure})


def test_where_a_probe_guest_ran_it_can(tmp_path: Path, binary: str) -> None:
    answer_probe(tmp_path, binary, None)
    reason = check(tmp_path, Config(firecracker_bin=binary))
    assert reason == "Firecracker 1.12.1, KVM runs its guests here"


def test_where_it_did_not_run_the_reason_is_told(tmp_path: Path, binary: str) -> None:
    answer_probe(tmp_path, binary, "it died")
    found = obstacle(tmp_path, Config(firecracker_bin=binary))
    assert (found.code, found.message) == (Code.INCOMPATIBLE, "Firecracker needs KVM: it died")


def test_a_missing_binary_is_named(tmp_path: Path) -> None:
    found = obstacle(tmp_path, Config(firecracker_bin="no-such-firecracker"))
    assert found.code is Code.MISSING_TOOL
    assert "no-such-firecracker" in found.message


def test_accel_tcg_rules_it_out_before_the_host_is_looked_at(tmp_path: Path) -> None:
    found = obstacle(tmp_path, Config(accel="tcg", firecracker_bin="no-such-firecracker"))
    assert found.message == "Firecracker needs KVM, and accel = tcg forbids it"


def test_the_probe_has_no_drive_and_no_network(tmp_path: Path) -> None:
    config = probe_config(tmp_path, tmp_path / "initrd")
    assert config["drives"] == []
    assert "network-interfaces" not in config


@pytest.mark.parametrize(
    ("jailer", "external", "program", "root", "user"),
    [
        (False, False, "sh", "WARN", "WARN"),
        (True, True, "no-such-jailer", "PASS", "PASS"),
        (True, False, "sh", "PASS", "FAIL"),
        (True, False, "no-such-jailer", "FAIL", "FAIL"),
    ],
)
def test_no_jail_is_a_warning_and_one_that_cannot_be_made_is_a_failure(
    binary: str, jailer: bool, external: bool, program: str, root: str, user: str
) -> None:
    config = Config(
        firecracker_bin=binary,
        firecracker=FirecrackerConfig(jailer=jailer, jailer_bin=program),
        nat=NatConfig(external=external),
    )
    (jail,) = Firecracker().findings(config)
    assert jail.status == (root if os.geteuid() == 0 else user)
    assert bool(jail.hint) == (jail.status != "PASS")


def test_a_version_newer_than_the_tested_ones_is_told(tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    newer.write_text("#!/bin/sh\necho Firecracker v9.0.0\n")
    newer.chmod(0o755)
    version, _ = Firecracker().findings(Config(firecracker_bin=str(newer)))
    assert version.status == "WARN"
    assert "9.0.0" in version.found
