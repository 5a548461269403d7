"""What doctor says of the machine itself."""

import platform
from pathlib import Path

import pytest

from cli.doctor import host
from shared.config import Config, DefaultsConfig
from shared.host import cgroup
from shared.host.cgroup import Support
from shared.paths import Paths

HERE = Paths(*[Path("/nowhere")] * 4)


@pytest.mark.parametrize(("machine", "status"), [("x86_64", "PASS"), ("aarch64", "FAIL")])
def test_one_architecture_is_supported(
    monkeypatch: pytest.MonkeyPatch, machine: str, status: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    (finding,) = host.architecture(HERE, Config())
    assert (finding.status, finding.found) == (status, machine)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (Support(Path("/sys/fs/cgroup"), (), "all controllers"), "PASS"),
        (Support(Path("/sys/fs/cgroup"), ("memory",), "without memory"), "WARN"),
        (Support(None, ("cpu", "memory", "pids"), "no cgroup v2"), "WARN"),
    ],
)
def test_limits_of_vms_are_a_warning_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, found: Support, status: str
) -> None:
    monkeypatch.setattr(cgroup, "support", lambda: found)
    (finding,) = host.isolation(HERE, Config())
    assert finding.status == status
    assert found.reason in finding.found


def test_a_size_says_where_it_comes_from() -> None:
    (derived,) = host.default_sizes(HERE, Config())
    assert "vcpu (host has " in derived.found
    (chosen,) = host.default_sizes(HERE, Config(defaults=DefaultsConfig(vcpu=3, memory_mib=512)))
    assert chosen.found.startswith("3 vcpu (config), 512 MiB (config), ")
