"""What doctor says of what runs VMs."""

from pathlib import Path

from cli.checks import vmm
from shared.config import Config
from shared.paths import Paths


def test_before_the_first_start_the_accelerator_is_probed_and_nothing_made(tmp_path: Path) -> None:
    kernel = tmp_path / "data" / "kernels" / "k"
    kernel.mkdir(parents=True)
    for name in ("manifest.json", "vmlinux"):
        (kernel / name).touch()
    places = [tmp_path / name for name in ("config", "data", "state", "cache", "run")]
    (result,) = vmm.accelerator(Paths(*places), Config())
    assert result.status == "WARN"  # it never boots: there is no kernel in it
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
