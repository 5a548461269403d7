"""What doctor says of what runs VMs."""

from pathlib import Path

from cli.doctor import vmm
from shared.config import Config
from shared.paths import Paths
from shared.vmm.qemu.info import Qemu
from tests.unit.shared.vmm.example import Paper, registered


def paths_below(root: Path) -> Paths:
    return Paths(*(root / name for name in ("config", "data", "state", "run")))


def test_before_the_first_start_the_accelerator_is_probed_and_nothing_made(tmp_path: Path) -> None:
    kernel = tmp_path / "data" / "kernels" / "k"
    kernel.mkdir(parents=True)
    for name in ("manifest.json", "vmlinux"):
        (kernel / name).touch()
    (result,) = vmm.accelerator(Qemu(), paths_below(tmp_path), Config())
    assert result.status == "WARN"  # it never boots: there is no kernel in it
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_vmm_that_was_registered_is_shown_with_what_it_says_of_itself(
    tmp_path: Path,
) -> None:
    with registered(Paper()):
        results = list(vmm.virtual_machines(paths_below(tmp_path), Config()))
    assert results[0].found == "paper (there is paper here)"
    assert results[-1].found == "a ream of it"
