"""Which accelerator QEMU shall use: KVM when it really runs a guest here, else TCG.

/dev/kvm that opens is no proof: on some hosts it creates a VM that never runs. So a guest is
booted once per boot of the host and per kernel, and the answer kept in the run directory::

    choice = detect(paths.kernels / kernel_id, paths.run)
    choice.accel, choice.reason, choice.tsc_khz
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from shared.busybox import find_busybox
from shared.cpio import Archive
from shared.tsc import host_tsc_khz

_KVM = Path("/dev/kvm")
_PROBE_SECONDS = 6.0
_SIGN = "banger-probe: alive"
_INIT = f"#!/bin/busybox sh\necho '{_SIGN}'\n/bin/busybox poweroff -f\n"


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

    Takes at most about six seconds, once per boot of the host and per kernel; ``on_probe`` is
    called before that.

    Raises:
        BangerError: ``missing_tool`` without a static busybox.
    """
    cache = run / "accelerator.json"
    key = f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {kernel.resolve().name}"
    known = _read_cache(cache, key)
    if known is None:
        on_probe()
        known = _probe(kernel)
        _write_cache(cache, key, known)
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
        initrd = Path(directory) / "initrd"
        initrd.write_bytes(_probe_initrd())
        try:
            done = subprocess.run(
                probe_argv(kernel, initrd),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PROBE_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            return "qemu-system-x86_64 is not installed"
        except subprocess.TimeoutExpired:
            return f"a probe guest under KVM gave no sign of life in {_PROBE_SECONDS:.0f} s"
    if _SIGN.encode() in done.stdout:
        return None
    words = done.stderr.decode(errors="replace").strip().splitlines()
    return f"a probe guest under KVM died: {words[-1] if words else f'exit {done.returncode}'}"


def probe_argv(kernel: Path, initrd: Path) -> list[str]:
    """The smallest guest like ours: same machine, same CPU model, no devices but a console."""
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config",
        "-M", "microvm", "-accel", "kvm", "-cpu", "host", "-m", "256", "-smp", "1",
        "-kernel", str(kernel / "vmlinuz"), "-initrd", str(initrd),
        "-append", "console=ttyS0 quiet panic=-1",
        "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
    ]  # fmt: skip


def _probe_initrd() -> bytes:
    archive = Archive()
    archive.file("init", _INIT.encode(), 0o755)
    archive.file("bin/busybox", find_busybox().read_bytes(), 0o755)
    archive.directory("dev")
    return archive.to_bytes()


def _read_cache(cache: Path, key: str) -> Accelerator | None:
    try:
        entry = json.loads(cache.read_text())[key]
        return Accelerator(Accel(entry["accel"]), entry["reason"], entry["tsc_khz"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_cache(cache: Path, key: str, value: Accelerator) -> None:
    # One entry only: another kernel or another boot makes the old one worthless.
    temporary = cache.with_name(f".{cache.name}.{os.getpid()}")
    with temporary.open("w") as file:
        json.dump({key: asdict(value)}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(cache)
