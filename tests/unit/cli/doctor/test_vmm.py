"""What doctor says of what runs VMs."""

import os
from pathlib import Path

import pytest

from cli.doctor import vmm
from shared.config import Config, FirecrackerConfig, NatConfig
from shared.paths import Paths


def test_before_the_first_start_the_accelerator_is_probed_and_nothing_made(tmp_path: Path) -> None:
    kernel = tmp_path / "data" / "kernels" / "k"
    kernel.mkdir(parents=True)
    for name in ("manifest.json", "vmlinux"):
        (kernel / name).touch()
    places = [tmp_path / name for name in ("config", "data", "state", "run")]
    (result,) = vmm.accelerator(Paths(*places), Config())
    assert result.status == "WARN"  # it never boots: there is no kernel in it
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("jailer", "external", "program", "root", "user"),
    [
        (False, False, "sh", "WARN", "WARN"),
        (True, True, "no-such-jailer", "PASS", "PASS"),
        (True, False, "sh", "PASS", "FAIL"),
        (True, False, "no-such-jailer", "FAIL", "FAIL"),
    ],
)
def test_no_jail_is_a_warning_and_one_that_cannot_be_is_a_failure(
    jailer: bool, external: bool, program: str, root: str, user: str
) -> None:
    firecracker = FirecrackerConfig(jailer=jailer, jailer_bin=program)
    result = vmm.jail(Config(firecracker=firecracker, nat=NatConfig(external=external)))
    assert result.status == (root if os.geteuid() == 0 else user)
    assert bool(result.hint) == (result.status != "PASS")
