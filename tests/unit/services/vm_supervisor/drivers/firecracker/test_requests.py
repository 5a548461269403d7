"""What Firecracker is asked, as a transcript."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.drivers.contract import MachineSpec
from services.vm_supervisor.drivers.firecracker.jail import base_ids, seen_from_inside
from services.vm_supervisor.drivers.firecracker.requests import (
    START,
    boot_requests,
    check_device,
    limit_requests,
    limiter,
    load_requests,
    save_request,
)
from services.vm_supervisor.network.modes import bridge_network
from shared.config import FirecrackerConfig
from shared.errors import BangerError, Code
from shared.vm import files
from shared.vmm.accelerator import Accel, Accelerator
from tests.unit.services.vm_supervisor.drivers.qemu.test_argv import SPEC as QEMU_SPEC

SPEC: MachineSpec = replace(
    QEMU_SPEC,
    accelerator=Accelerator(Accel.KVM, ""),
    network=bridge_network(
        "0123456789ab", "bgr0123456789ab", "10.77.0.2/24", "10.77.0.1", ("10.77.0.1",)
    ),
)


def asked(config: FirecrackerConfig | None = None) -> dict[str, dict[str, Any]]:
    requests = boot_requests(SPEC, config or FirecrackerConfig())
    return {request.path: request.body for request in requests}


def test_the_start_comes_last_and_the_drives_in_the_order_of_guest_init() -> None:
    requests = boot_requests(SPEC, FirecrackerConfig())
    drives = [r.body["drive_id"] for r in requests if r.path.startswith("/drives/")]
    assert drives == ["rootfs", "overlay", "work", "modules"]
    assert requests[-1] == START


def test_what_vms_share_is_read_only_and_what_a_guest_flushes_is_written() -> None:
    drives = [body for path, body in asked().items() if path.startswith("/drives/")]
    assert [drive["is_read_only"] for drive in drives] == [True, False, False, True]
    assert {drive["cache_type"] for drive in drives} == {"Writeback"}


def test_images_below_are_drives_of_their_own_under_names_of_the_jail() -> None:
    drives = replace(
        SPEC.drives, tools=Path("/t"), bases=(Path("/images/j/r"), Path("/images/k/r"))
    )
    inside = seen_from_inside(replace(SPEC, drives=drives))
    requests = boot_requests(inside, FirecrackerConfig())
    paths = [r.body["path_on_host"] for r in requests if r.path.startswith("/drives/")]
    assert paths[4:] == ["disks/tools", "disks/base0", "disks/base1"]
    assert base_ids(replace(SPEC, drives=drives)) == ["j", "k"]


def test_a_guest_can_end_the_vmm_by_a_reset() -> None:
    words = asked()["/boot-source"]["boot_args"].split()
    assert "reboot=k" in words
    assert "panic=-1" in words
    assert not [word for word in words if word.startswith("tsc")]


def test_the_guest_is_on_its_tap_with_its_own_address() -> None:
    network = asked()["/network-interfaces/net0"]
    assert network["host_dev_name"] == "bgr0123456789ab"
    assert network["guest_mac"] == SPEC.network.mac


def test_nothing_is_limited_or_measured_unless_configured() -> None:
    plain = asked()
    assert "/metrics" not in plain
    assert "rate_limiter" not in plain["/drives/work"]
    assert "rx_rate_limiter" not in plain["/network-interfaces/net0"]


def test_limits_are_buckets_refilled_every_second() -> None:
    config = FirecrackerConfig(disk_mib_per_second=10, network_mib_per_second=1, metrics=True)
    limited = asked(config)
    ten = {"bandwidth": {"size": 10 << 20, "refill_time": 1000}}
    one = {"bandwidth": {"size": 1 << 20, "refill_time": 1000}}
    assert limited["/drives/rootfs"]["rate_limiter"] == ten
    assert limited["/network-interfaces/net0"]["tx_rate_limiter"] == one
    assert limited["/metrics"]["metrics_path"] == "/state/vms/0123456789ab/metrics.json"
    assert limiter(0, 5) == {"ops": {"size": 5, "refill_time": 1000}}


def test_a_saved_machine_is_loaded_with_the_network_device_of_the_vm_and_stays_paused() -> None:
    config = FirecrackerConfig(metrics=True)
    metrics, load = load_requests(SPEC, config, (1, 12, 1))
    assert metrics.path == "/metrics"
    assert load.body == {
        "snapshot_path": "saved/device_state",
        "mem_backend": {"backend_type": "File", "backend_path": "saved/memory"},
        "resume_vm": False,
        "network_overrides": [{"iface_id": "net0", "host_dev_name": "bgr0123456789ab"}],
    }


def test_all_pages_are_saved_unless_they_were_tracked_since_the_boot() -> None:
    assert save_request(touched=False).body == {
        "snapshot_type": "Full",
        "snapshot_path": "save/device_state",
        "mem_file_path": "save/memory",
    }
    assert save_request(touched=True).body["snapshot_type"] == "Diff"
    assert asked()["/machine-config"]["track_dirty_pages"] is False
    tracked = asked(FirecrackerConfig(track_dirty_pages=True))
    assert tracked["/machine-config"]["track_dirty_pages"] is True


def test_an_older_firecracker_is_not_asked_for_what_it_does_not_know() -> None:
    (load,) = load_requests(SPEC, FirecrackerConfig(), (1, 11, 9))
    assert "network_overrides" not in load.body


def test_a_loaded_machine_gets_the_limits_of_this_host() -> None:
    old = {"bandwidth": {"size": 1, "one_time_burst": None, "refill_time": 1000}, "ops": None}
    shown: dict[str, Any] = {
        "drives": [
            {"drive_id": "rootfs", "rate_limiter": None},
            {"drive_id": "work", "rate_limiter": old},
        ],
        "network-interfaces": [
            {"iface_id": "net0", "rx_rate_limiter": old, "tx_rate_limiter": None}
        ],
    }
    none, size = {"size": 0, "refill_time": 0}, {"size": 1 << 20, "refill_time": 1000}
    work, network = limit_requests(shown, FirecrackerConfig())
    assert work.path == "/drives/work"
    assert work.body["rate_limiter"] == {"bandwidth": none, "ops": none}
    assert network.body["tx_rate_limiter"] == {"bandwidth": none, "ops": none}
    limited = limit_requests(shown, FirecrackerConfig(disk_mib_per_second=1))
    assert [each.body.get("drive_id") for each in limited] == ["rootfs", "work", None]
    assert limited[0].body["rate_limiter"] == {"bandwidth": size, "ops": none}
    shown = {"drives": [{"drive_id": "work", "rate_limiter": {"bandwidth": size}}]}
    assert limit_requests(shown, FirecrackerConfig(disk_mib_per_second=1)) == []


def test_an_old_firecracker_starts_the_same_vm_again_and_no_copy(tmp_path: Path) -> None:
    (tmp_path / files.DEVICE_STATE).write_bytes(b"\x07\0\0\0bgr0123\0")
    check_device((1, 8, 0), tmp_path, "bgr0123")
    check_device((1, 12, 0), tmp_path, "bgr4567")
    with pytest.raises(BangerError) as caught:
        check_device((1, 11, 9), tmp_path, "bgr4567")
    assert caught.value.code is Code.INCOMPATIBLE
    assert "1.12.0" in caught.value.hint
