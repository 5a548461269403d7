"""What must be the same where a saved machine is started."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from services.vm_supervisor.launch.drives import drives_of
from services.vm_supervisor.launch.facts import (
    facts_of_disks,
    facts_of_machine,
    refuse_different,
    with_own_sizes,
)
from shared.config import Config
from shared.contract.messages.machine import SupervisorSpec
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm.saved import MachineFacts, SavedMachine, differences
from shared.vmm.accelerator import Accel, Accelerator
from shared.vmm.info import LaunchContext
from tests.example import example_vm
from tests.fakes.saved import describe
from tests.scripted import shelf
from tests.unit.services.vm_supervisor.disks.saved_machines import fill
from tests.unit.shared.vmm.example import Paper


def spec(root: Path, **changes: Any) -> SupervisorSpec:
    paths = Paths(**{name: root / name for name in ("config", "data", "state", "run")})
    if not paths.images.exists():
        shelf.stock(paths)
    return SupervisorSpec(
        vm=example_vm(**changes),
        image=str((paths.images / "by-name" / shelf.NAME).resolve()),
        kernel=str((paths.kernels / "by-name" / shelf.NAME).resolve()),
    )


def machine(root: Path, **changes: Any) -> MachineFacts:
    made = spec(root, **changes)
    fill(root / "vm", "disk", memory=False)
    context = LaunchContext(Config(), Path(made.kernel), root)
    accelerator = Accelerator(Accel.TCG, "as asked", 2_000_000)
    drives = drives_of(Path(made.image), Path(made.kernel), root / "vm")
    return facts_of_machine(made, Paper(), context, accelerator, drives)


def test_a_machine_is_told_by_its_vmm_processor_and_devices(tmp_path: Path) -> None:
    facts = machine(tmp_path)
    assert (facts.vmm, facts.accel, facts.tsc_khz) == ("paper", "tcg", 2_000_000)
    assert [device.name for device in facts.devices][:4] == [
        "rootfs", "overlay", "work", "modules",
    ]  # fmt: skip
    assert facts.devices[1].bytes == len("disk")
    assert differences(facts, machine(tmp_path)) == []


def test_another_image_is_noticed_whatever_it_is_called(tmp_path: Path) -> None:
    before = machine(tmp_path)
    manifest = Path(spec(tmp_path).image) / "manifest.json"
    content = json.loads(manifest.read_text())
    content["rootfs"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(content))
    assert [each for each in differences(before, machine(tmp_path)) if "its image was" in each]


def saved(root: Path, **changes: Any) -> SavedMachine:
    facts = machine(root)
    known = {name: getattr(facts, name) for name in MachineFacts.__struct_fields__}
    (work := root / "work").mkdir(exist_ok=True)
    return describe(work, spec(root).vm, **known | changes)


def test_what_differs_is_said_with_what_to_do(tmp_path: Path) -> None:
    refuse_different(saved(tmp_path), machine(tmp_path), "beta", "boot it")
    with pytest.raises(BangerError) as refused:
        refuse_different(saved(tmp_path, vmm_version="9.0"), machine(tmp_path), "beta", "boot it")
    assert refused.value.code is Code.INCOMPATIBLE
    assert "it was saved by paper 9.0" in refused.value.message
    assert refused.value.hint == "boot it"


def test_a_vm_becomes_as_large_as_what_was_saved(tmp_path: Path) -> None:
    larger = replace(machine(tmp_path), vcpus=8, memory_mib=4096)
    assert differences(saved(tmp_path), larger)
    assert differences(saved(tmp_path), with_own_sizes(saved(tmp_path), larger)) == []


def test_disks_alone_fit_every_vmm(tmp_path: Path) -> None:
    made = spec(tmp_path)
    assert differences(facts_of_disks(made), facts_of_disks(spec(tmp_path, vmm="qemu"))) == []
    assert facts_of_disks(made).devices[0].bytes == made.vm.overlay_bytes
