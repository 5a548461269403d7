"""Which accelerator QEMU shall use: KVM when it really runs a guest here, else TCG.

/dev/kvm that opens is no proof: on some hosts it creates a VM that never runs. So a guest is
booted once per boot of the host and per kernel, and the answer kept in the run directory::

    choice = detect(paths.kernels / kernel_id, paths.run)
    choice.accel, choice.reason, choice.tsc_khz
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from shared.host.tsc import host_tsc_khz
from shared.vm import files
from shared.vmm.probe import BootScopedCache, failure_of, probe_initrd

_KVM = Path("/dev/kvm")
_PROBE_SECONDS = 20.0
"""A guest that hangs is given up then; under nested virtualisation one takes some seconds."""


class Accel(StrEnum):
    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True)
class Accelerator:
    """The choice and why, for doctor; ``tsc_khz`` is what a TCG guest must be told."""

    accel: Accel
    reason: str
    tsc_khz: int | None = None


def detect(kernel: Path, run: Path, on_probe: Callable[[], object] = lambda: None) -> Accelerator:
    """Boot ``kernel`` (a kernel directory) under KVM; answer from the cache in ``run`` if there.

    Takes at most some twenty seconds, once per boot of the host and per kernel; ``on_probe`` is
    called before that.

    Raises:
        BangerError: ``missing_tool`` without a static busybox.
    """
    kept = BootScopedCache(run / "accelerator.json", kernel.resolve().name)
    entry = kept.read()
    known = _decode(entry) if entry else None
    if known is None:
        on_probe()
        known = _probe(kernel)
        kept.write(asdict(known))
    return known


def configured(accel: Accel) -> Accelerator:
    """The accelerator that the configuration names, without a probe; takes 0.1 s for TCG."""
    tsc_khz = host_tsc_khz() if accel is Accel.TCG else None
    return Accelerator(accel, "set in the configuration", tsc_khz)


def kvm_obstacle(device: Path = _KVM) -> str | None:
    """Why KVM cannot even be tried, or None: no device, or no right to open it."""
    if not device.exists():
        return f"{device} does not exist: no virtualisation, or the kvm module is not loaded"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"no access to {device}: add yourself to the group of {device} ({_group(device)})"
    return None


def _group(device: Path) -> str:
    try:
        return device.group()
    except KeyError:
        return f"gid {device.stat().st_gid}"


def _probe(kernel: Path) -> Accelerator:
    reason = kvm_obstacle() or _failure_of_probe_guest(kernel)
    if reason is None:
        return Accelerator(Accel.KVM, "a probe guest ran under KVM")
    return Accelerator(Accel.TCG, reason, host_tsc_khz())


def _failure_of_probe_guest(kernel: Path) -> str | None:
    """Boot under KVM. None when the guest's first process spoke, else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="banger-probe-") as directory:
        initrd = Path(directory) / files.INITRD
        initrd.write_bytes(probe_initrd("poweroff -f"))
        return failure_of(probe_argv(kernel, initrd), _PROBE_SECONDS)


def probe_argv(kernel: Path, initrd: Path) -> list[str]:
    """The smallest guest like ours: same machine, same CPU model, no devices but a console."""
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config",
        "-M", "microvm", "-accel", "kvm", "-cpu", "host", "-m", "256", "-smp", "1",
        "-kernel", str(kernel / "vmlinux"), "-initrd", str(initrd),
        "-append", "console=ttyS0 quiet panic=-1",
        "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
    ]  # fmt: skip


def _decode(entry: dict[str, Any]) -> Accelerator | None:
    try:
        return Accelerator(Accel(entry["accel"]), entry["reason"], entry["tsc_khz"])
    except (ValueError, KeyError):
        return None
