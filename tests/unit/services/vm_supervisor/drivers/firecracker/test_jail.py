"""What a jailed Firecracker is asked, in the words of its jail, and what is made ready for nat."""

import stat
from dataclasses import replace
from pathlib import Path

from services.vm_supervisor.drivers.firecracker.jail import make_ready, seen_from_inside
from services.vm_supervisor.drivers.firecracker.requests import boot_requests
from shared.config import FirecrackerConfig
from shared.vm import files
from tests.unit.services.vm_supervisor.drivers.firecracker.test_requests import SPEC


def test_no_path_of_the_host_is_said_inside() -> None:
    config = FirecrackerConfig(metrics=True)
    bodies = {r.path: r.body for r in boot_requests(seen_from_inside(SPEC), config)}
    assert bodies["/boot-source"]["kernel_image_path"] == "/boot/vmlinux"
    assert bodies["/boot-source"]["initrd_path"] == "/boot/initrd"
    assert bodies["/drives/overlay"]["path_on_host"] == "disks/overlay"
    assert bodies["/vsock"]["uds_path"] == "vm/agent.sock"
    assert bodies["/metrics"]["metrics_path"] == "/logs/metrics.json"
    for path in (SPEC.run, SPEC.state, SPEC.kernel, SPEC.drives.rootfs.parent):
        assert str(path) not in str(bodies)


def test_the_rest_of_the_vm_is_the_same_inside() -> None:
    inside = seen_from_inside(SPEC)
    assert (inside.vcpus, inside.memory_mib, inside.network) == (
        SPEC.vcpus, SPEC.memory_mib, SPEC.network,
    )  # fmt: skip


def test_what_nat_looks_for_is_there_and_what_a_jail_left_is_in_no_ones_way(tmp_path: Path) -> None:
    spec = replace(SPEC, place=replace(SPEC.place, run=tmp_path, state=tmp_path))
    for _ in range(2):
        sockets = make_ready(spec, FirecrackerConfig(metrics=True))
        (sockets / files.API_SOCKET).mkdir(exist_ok=True)  # for nat to remove
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert stat.S_ISFIFO((tmp_path / files.CONSOLE_INPUT).stat().st_mode)
    for name in ("console.log", "vmm.log", "metrics.json", "saving/memory", "saving/device_state"):
        assert (tmp_path / name).is_file()


def test_what_is_loaded_is_readable_by_the_user_of_a_jail(tmp_path: Path) -> None:
    spec = replace(SPEC, place=replace(SPEC.place, run=tmp_path / "r", state=tmp_path / "s"))
    for directory in ("r", "s", "saved"):
        (tmp_path / directory).mkdir()
    for name in (files.MEMORY, files.DEVICE_STATE):
        (tmp_path / "saved" / name).touch(mode=0o600)
    make_ready(spec, FirecrackerConfig(), tmp_path / "saved")
    memory = spec.run / files.SAVED_MACHINE / files.MEMORY
    assert stat.S_IMODE(memory.stat().st_mode) == 0o644
    make_ready(spec, FirecrackerConfig())
    assert not memory.exists()
