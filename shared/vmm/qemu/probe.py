"""Which accelerator QEMU shall use: KVM when it really runs a guest here, else TCG.

/dev/kvm that opens is no proof: on some hosts it creates a VM that never runs. So a guest is
booted once per boot of the host and per kernel, and the answer kept in the run directory.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared.vm import files
from shared.vmm.accelerator import Accel, Accelerator, kvm_obstacle
from shared.vmm.info import LaunchContext
from shared.vmm.probe import PROBE_SECONDS, BootScopedCache, failure_of, probe_initrd
from shared.vmm.qemu.tsc import host_tsc_khz


def detect(context: LaunchContext) -> Accelerator:
    """Boot the kernel under KVM; answer from the run directory if the answer is there.

    Takes at most some twenty seconds, once per boot of the host and per kernel.

    Raises:
        BangerError: ``missing_tool`` without a static busybox.
    """
    cache = BootScopedCache(context.run / "accelerator.json", context.kernel.resolve().name)
    entry = cache.read()
    known = _decode(entry) if entry else None
    if known is None:
        context.say("checking whether KVM runs guests on this host")
        known = _probe(context.config.qemu_bin, context.kernel)
        cache.write(asdict(known))
    return known


def configured(accel: Accel) -> Accelerator:
    """The accelerator that the configuration names, without a probe; takes 0.1 s for TCG."""
    tsc_khz = host_tsc_khz() if accel is Accel.TCG else None
    return Accelerator(accel, "set in the configuration", tsc_khz)


def _probe(program: str, kernel: Path) -> Accelerator:
    reason = kvm_obstacle() or _failure_of_probe_guest(program, kernel)
    if reason is None:
        return Accelerator(Accel.KVM, "a probe guest ran under KVM")
    return Accelerator(Accel.TCG, reason, host_tsc_khz())


def _failure_of_probe_guest(program: str, kernel: Path) -> str | None:
    """Boot under KVM. None when the guest's first process spoke, else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="banger-probe-") as directory:
        initrd = Path(directory) / files.INITRD
        initrd.write_bytes(probe_initrd("poweroff -f"))
        return failure_of(probe_argv(program, kernel, initrd), PROBE_SECONDS)


def probe_argv(program: str, kernel: Path, initrd: Path) -> list[str]:
    """The smallest guest like ours: same machine, same CPU model, no devices but a console."""
    return [
        program, "-nodefaults", "-no-user-config",
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
