"""What Firecracker is asked for one VM, in order: a pure function of its ``MachineSpec``.

Paths and bodies are those of Firecracker's API (src/firecracker/swagger/firecracker.yaml). Every
drive says ``Writeback``: with the default, a guest's flush would be ignored and what it had synced
could be lost (docs/api_requests/block-caching.md).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from services.vm_supervisor.drivers.contract import MachineSpec
from services.vm_supervisor.drivers.kernel_arguments import kernel_arguments
from services.vm_supervisor.guest.channel import GUEST_CID
from shared.config import FirecrackerConfig
from shared.vm import files

_MACHINE_ARGUMENTS = (
    "reboot=k",  # a reset by the keyboard controller, the only way for a guest to end the VMM
    "pci=off",
    "8250.nr_uarts=1",
    # There is no keyboard: looking for one costs a second.
    "i8042.noaux",
    "i8042.nomux",
    "i8042.dumbkbd",
)
_MIB = 1 << 20
_REFILL_MS = 1000


class ApiRequest(NamedTuple):
    """One call of the API."""

    method: str
    path: str
    body: dict[str, Any]


START = ApiRequest("PUT", "/actions", {"action_type": "InstanceStart"})
PAUSE = ApiRequest("PATCH", "/vm", {"state": "Paused"})
RESUME = ApiRequest("PATCH", "/vm", {"state": "Resumed"})


def boot_requests(spec: MachineSpec, agent: Path, config: FirecrackerConfig) -> list[ApiRequest]:
    """All that makes the machine and starts it. ``agent``: the socket to make for vsock."""
    machine = {"vcpu_count": spec.vcpus, "mem_size_mib": spec.memory_mib, "smt": False}
    boot = {
        "kernel_image_path": str(spec.kernel / "vmlinux"),
        "initrd_path": str(spec.initrd),
        "boot_args": kernel_arguments(spec.accelerator, _MACHINE_ARGUMENTS),
    }
    network = {"iface_id": "net0", "host_dev_name": spec.network.tap, "guest_mac": spec.network.mac}
    vsock = {"guest_cid": GUEST_CID, "uds_path": str(agent)}
    balloon = {"amount_mib": 0, "deflate_on_oom": True, "stats_polling_interval_s": 0}
    return [
        *_metrics(spec, config),
        ApiRequest("PUT", "/machine-config", machine),
        ApiRequest("PUT", "/boot-source", boot),
        *_drives(spec, config),
        ApiRequest("PUT", "/network-interfaces/net0", network | _network_limits(config)),
        ApiRequest("PUT", "/vsock", vsock),
        ApiRequest("PUT", "/entropy", {}),
        ApiRequest("PUT", "/balloon", balloon),
        START,
    ]


def _metrics(spec: MachineSpec, config: FirecrackerConfig) -> Iterator[ApiRequest]:
    if config.metrics:
        yield ApiRequest("PUT", "/metrics", {"metrics_path": str(spec.state / files.METRICS)})


def _drives(spec: MachineSpec, config: FirecrackerConfig) -> Iterator[ApiRequest]:
    """The guest numbers them in this order; guest/rootfs/init relies on it."""
    limits = limiter(config.disk_mib_per_second, config.disk_operations_per_second)
    for name, path, read_only in spec.drives.devices():
        drive: dict[str, Any] = {
            "drive_id": name,
            "path_on_host": str(path),
            "is_root_device": False,
            "is_read_only": read_only,
            "cache_type": "Writeback",
        }
        if limits:
            drive["rate_limiter"] = limits
        yield ApiRequest("PUT", f"/drives/{name}", drive)


def _network_limits(config: FirecrackerConfig) -> dict[str, Any]:
    limits = limiter(config.network_mib_per_second, 0)
    return {"rx_rate_limiter": limits, "tx_rate_limiter": limits} if limits else {}


def limiter(mib_per_second: int, operations_per_second: int) -> dict[str, Any]:
    """A RateLimiter of the API: buckets refilled every second. Zero: no such limit."""
    wanted = {"bandwidth": mib_per_second * _MIB, "ops": operations_per_second}
    return {
        name: {"size": size, "refill_time": _REFILL_MS} for name, size in wanted.items() if size
    }
