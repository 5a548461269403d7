"""What Firecracker is asked for one VM, in order: a pure function of its ``MachineSpec``.

Paths and bodies are those of Firecracker's API (src/firecracker/swagger/firecracker.yaml). Every
drive says ``Writeback``: with the default, a guest's flush would be ignored and what it had synced
could be lost (docs/api_requests/block-caching.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from services.vm_supervisor.drivers.contract import MachineSpec
from services.vm_supervisor.drivers.firecracker import names
from services.vm_supervisor.drivers.kernel_arguments import kernel_arguments
from services.vm_supervisor.guest.channel import GUEST_CID
from shared.config import FirecrackerConfig
from shared.errors import BangerError, Code
from shared.vm import files
from shared.vmm.firecracker.binary import Version, show

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
_NETWORK = "net0"
ANSWER_SECONDS = 10.0
"""A pause of a guest with many processors takes longest; most requests take milliseconds."""
_SAVE_SECONDS = 600.0
"""All of the guest's memory is written to a disk and flushed."""
_LOAD_SECONDS = 60.0
OVERRIDES: Version = (1, 12, 0)
"""The first that gives a saved machine another network device (#4731 of its CHANGELOG)."""


class ApiRequest(NamedTuple):
    """One call of the API."""

    method: str
    path: str
    body: dict[str, Any]
    seconds: float = ANSWER_SECONDS
    """How long its answer may take."""


START = ApiRequest("PUT", "/actions", {"action_type": "InstanceStart"})
PAUSE = ApiRequest("PATCH", "/vm", {"state": "Paused"})
RESUME = ApiRequest("PATCH", "/vm", {"state": "Resumed"})
LOAD_PATH = "/snapshot/load"
SHOW_CONFIG = ApiRequest("GET", "/vm/config", {})


@dataclass(frozen=True)
class Beginning:
    """How a machine that was just launched comes to run. ``spec``: with paths as Firecracker sees
    them; ``saved``: the saved machine to load instead of booting."""

    spec: MachineSpec
    config: FirecrackerConfig
    saved: Path | None

    @property
    def tracks_pages(self) -> bool:
        return self.config.track_dirty_pages and not self.saved

    def requests(self, version: Version) -> list[ApiRequest]:
        """What this ``version`` of Firecracker is asked. Raises ``incompatible``."""
        if not self.saved:
            return boot_requests(self.spec, self.config)
        check_device(version, self.saved, self.spec.network.tap)
        return load_requests(self.spec, self.config, version)


def boot_requests(spec: MachineSpec, config: FirecrackerConfig) -> list[ApiRequest]:
    """All that makes the machine and starts it. Of ``spec.drives`` the names are used alone."""
    machine = {
        "vcpu_count": spec.vcpus,
        "mem_size_mib": spec.memory_mib,
        "smt": False,
        "track_dirty_pages": config.track_dirty_pages,
    }
    boot = {
        "kernel_image_path": str(spec.kernel / "vmlinux"),
        "initrd_path": str(spec.initrd),
        "boot_args": kernel_arguments(spec.accelerator, _MACHINE_ARGUMENTS),
    }
    network = {
        "iface_id": _NETWORK,
        "host_dev_name": spec.network.tap,
        "guest_mac": spec.network.mac,
    }
    vsock = {"guest_cid": GUEST_CID, "uds_path": names.AGENT}
    balloon = {"amount_mib": 0, "deflate_on_oom": True, "stats_polling_interval_s": 0}
    return [
        *_metrics(spec, config),
        ApiRequest("PUT", "/machine-config", machine),
        ApiRequest("PUT", "/boot-source", boot),
        *_drives(spec, config),
        ApiRequest("PUT", f"/network-interfaces/{_NETWORK}", network | _network_limits(config)),
        ApiRequest("PUT", "/vsock", vsock),
        ApiRequest("PUT", "/entropy", {}),
        ApiRequest("PUT", "/balloon", balloon),
        START,
    ]


def save_request(*, touched: bool) -> ApiRequest:
    """Saves a machine that is paused. ``touched``: only pages that were written to since the boot
    or the last save, where they are tracked; the others are zero in a new file."""
    body = {
        "snapshot_type": "Diff" if touched else "Full",
        "snapshot_path": names.SAVING_STATE,
        "mem_file_path": names.SAVING_MEMORY,
    }
    return ApiRequest("PUT", "/snapshot/create", body, _SAVE_SECONDS)


def load_requests(
    spec: MachineSpec, config: FirecrackerConfig, version: Version
) -> list[ApiRequest]:
    """All that loads a saved machine, which is paused then. ``version``: of the Firecracker."""
    load: dict[str, Any] = {
        "snapshot_path": names.SAVED_STATE,
        # Mapped privately (MAP_PRIVATE), and opened for reading: many machines can have the file.
        "mem_backend": {"backend_type": "File", "backend_path": names.SAVED_MEMORY},
        "resume_vm": False,
    }
    if version >= OVERRIDES:
        load["network_overrides"] = [{"iface_id": _NETWORK, "host_dev_name": spec.network.tap}]
    return [*_metrics(spec, config), ApiRequest("PUT", LOAD_PATH, load, _LOAD_SECONDS)]


def check_device(version: Version, saved: Path, tap: str) -> None:
    """Raise ``incompatible`` where the network device cannot be the VM's own: a Firecracker that
    is too old for another one than was saved, which is that of the VM that was saved."""
    if version < OVERRIDES and tap.encode() not in (saved / files.DEVICE_STATE).read_bytes():
        raise BangerError(
            Code.INCOMPATIBLE,
            f"Firecracker {show(version)} cannot start a copy of a saved machine: it cannot give "
            "it a network device of its own",
            hint=f"install Firecracker {show(OVERRIDES)} or newer",
        )


def limit_requests(shown: dict[str, Any], config: FirecrackerConfig) -> list[ApiRequest]:
    """What gives a loaded machine the limits of this host: it has those of the host that saved it.
    ``shown``: the answer to ``SHOW_CONFIG``."""
    network = limiter(config.network_mib_per_second, 0)
    disk = limiter(config.disk_mib_per_second, config.disk_operations_per_second)
    return [
        *(
            _limit("/drives", "drive_id", each["drive_id"], {"rate_limiter": _complete(disk)})
            for each in shown.get("drives") or []
            if not _same(each.get("rate_limiter"), disk)
        ),
        *(
            _limit(
                "/network-interfaces",
                "iface_id",
                each["iface_id"],
                {"rx_rate_limiter": _complete(network), "tx_rate_limiter": _complete(network)},
            )
            for each in shown.get("network-interfaces") or []
            if not all(_same(each.get(f"{way}_rate_limiter"), network) for way in ("rx", "tx"))
        ),
    ]


def _limit(path: str, key: str, name: str, limits: dict[str, Any]) -> ApiRequest:
    return ApiRequest("PATCH", f"{path}/{name}", {key: name, **limits})


def _complete(limits: dict[str, Any]) -> dict[str, Any]:
    """A bucket of size 0 takes the limit away; one that is not named stays."""
    none = {"size": 0, "refill_time": 0}
    return {name: limits.get(name, none) for name in ("bandwidth", "ops")}


def _same(shown: dict[str, Any] | None, limits: dict[str, Any]) -> bool:
    return {
        name: (bucket["size"], bucket["refill_time"])
        for name, bucket in (shown or {}).items()
        if bucket
    } == {name: (bucket["size"], bucket["refill_time"]) for name, bucket in limits.items()}


def _metrics(spec: MachineSpec, config: FirecrackerConfig) -> Iterator[ApiRequest]:
    if config.metrics:
        yield ApiRequest("PUT", "/metrics", {"metrics_path": str(spec.state / files.METRICS)})


def _drives(spec: MachineSpec, config: FirecrackerConfig) -> Iterator[ApiRequest]:
    """The guest numbers them in this order; guest/rootfs/init relies on it."""
    limits = limiter(config.disk_mib_per_second, config.disk_operations_per_second)
    for name, _, read_only in spec.drives.devices():
        drive: dict[str, Any] = {
            "drive_id": name,
            "path_on_host": names.drive(name),
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
