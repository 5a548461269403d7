"""What speaks against a restore, told before anybody asks for one."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from services.api.machines.loading import obstacles
from shared.config import Config
from shared.contract.messages.vm import Vm
from shared.paths import Paths
from shared.vm.manifest import image_digest
from shared.vm.saved import SavedMachine, read_saved
from tests.example import example_vm
from tests.fakes.saved import save_machine
from tests.scripted import shelf

HERE = {"vmm_version": "7.2", "accel": "tcg", "cpu": "base"}


@pytest.fixture
def vm(paths: Paths) -> Vm:
    shelf.stock(paths)
    image, kernel = (
        (directory / "by-name" / shelf.NAME).resolve().name
        for directory in (paths.images, paths.kernels)
    )
    return example_vm(image_id=image, kernel_id=kernel)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    paths = shelf.install(tmp_path / "bin")
    return Config(qemu_bin=str(paths), qemu_cpu="base", accel="tcg")


def saved(paths: Paths, vm: Vm, *, memory: bool = True, **changes: Any) -> SavedMachine:
    known = HERE | {"image_digest": image_digest(paths.images / vm.image_id)} | changes
    return read_saved(save_machine(paths.state / "one", vm, memory=memory, **known))


def found(paths: Paths, config: Config, vm: Vm, what: SavedMachine, **more: bool) -> list[str]:
    paths.run.mkdir(exist_ok=True)
    return obstacles(vm, what, config, paths, **{"probes": False} | more)


def test_nothing_speaks_against_what_was_saved_here(paths: Paths, vm: Vm, config: Config) -> None:
    what = saved(paths, vm)
    assert found(paths, config, vm, what) == []
    shown = found(paths, config, replace(vm, vcpu=vm.vcpu + 1), what, probes=True)
    assert [words for words in shown if "clock" not in words] == [], "sizes are taken over"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vmm_version": "9.1"}, "it was saved by qemu 9.1, and 7.2 is here"),
        ({"image_digest": "sha256:00"}, "its image was"),
        ({"vmm": "paper"}, "there is no VMM called 'paper'"),
    ],
)
def test_a_list_compares_what_costs_nothing(
    paths: Paths, vm: Vm, config: Config, changes: dict[str, Any], words: str
) -> None:
    (told,) = found(paths, config, vm, saved(paths, vm, **changes))
    assert words in told


def test_the_processor_is_compared_when_there_is_time(paths: Paths, vm: Vm, config: Config) -> None:
    what = saved(paths, vm, cpu="another")
    assert found(paths, config, vm, what) == []
    (told,) = found(paths, config, vm, what, probes=True)
    assert told == "its processor was another, and would be base"


def test_disks_alone_need_their_image_and_no_vmm(paths: Paths, vm: Vm) -> None:
    config = Config(qemu_bin="/nowhere/qemu")
    what = saved(paths, vm, memory=False)
    assert found(paths, config, vm, what, probes=True) == []
    (told,) = found(paths, config, replace(vm, image_id="f" * 12), what)
    assert "is not usable" in told


def test_a_vmm_that_is_gone_is_said(paths: Paths, vm: Vm) -> None:
    config = Config(qemu_bin="/nowhere/qemu")
    (told,) = found(paths, config, vm, saved(paths, vm))
    assert "/nowhere/qemu" in told
