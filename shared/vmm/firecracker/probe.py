"""Whether KVM runs a guest of Firecracker's here."""

import json
import tempfile
from pathlib import Path

from shared.config import Config
from shared.errors import BangerError, Code
from shared.vm import files
from shared.vmm.accelerator import kvm_obstacle
from shared.vmm.info import LaunchContext
from shared.vmm.probe import PROBE_SECONDS, BootScopedCache, failure_of, probe_initrd


def refuse_emulation(config: Config) -> None:
    """Raises ``incompatible`` where the configuration forbids KVM."""
    if config.accel == "tcg":
        raise BangerError(
            Code.INCOMPATIBLE,
            "Firecracker needs KVM, and accel = tcg forbids it",
            hint="set accel to auto",
        )


def check_kvm(program: Path, context: LaunchContext) -> None:
    """Raises ``incompatible`` when a probe guest does not run, or has not since the host booted."""
    reason = kvm_obstacle()
    if reason is None:
        subject = f"{context.kernel.resolve().name} {program}"
        cache = BootScopedCache(context.run / "firecracker.json", subject)
        known = cache.read()
        if known is None:
            context.say("checking whether Firecracker runs guests on this host")
            known = {"failure": _failure_of_probe_guest(program, context.kernel)}
            cache.write(known)
        reason = known.get("failure")
    if reason is not None:
        raise BangerError(
            Code.INCOMPATIBLE,
            f"Firecracker needs KVM: {reason}",
            hint="for details: banger doctor",
        )


def _failure_of_probe_guest(program: Path, kernel: Path) -> str | None:
    with tempfile.TemporaryDirectory(prefix="banger-probe-") as directory:
        initrd, config = Path(directory, files.INITRD), Path(directory, "config.json")
        initrd.write_bytes(probe_initrd("reboot -f"))
        config.write_text(json.dumps(probe_config(kernel, initrd)))
        argv = [str(program), "--no-api", "--id", "banger-probe", "--config-file", str(config)]
        return failure_of(argv, PROBE_SECONDS)


def probe_config(kernel: Path, initrd: Path) -> dict[str, object]:
    """The smallest guest, as Firecracker's ``--config-file`` takes it."""
    return {
        "boot-source": {
            "kernel_image_path": str(kernel / "vmlinux"),
            "initrd_path": str(initrd),
            "boot_args": "console=ttyS0 quiet reboot=k panic=-1 pci=off i8042.noaux i8042.nomux",
        },
        "drives": [],
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 256},
    }
