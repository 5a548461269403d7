"""Which VMM runs a VM, and why: Firecracker where it can, QEMU everywhere.

Asked by the api before there is a VM, by a supervisor at each start, and by doctor::

    choice = choose("auto", network="bridge", config=config, kernel=kernel, run=paths.run)
    choice.vmm, choice.reason      # ("firecracker", "Firecracker 1.12.1, KVM runs its guests here")
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.config import Config
from shared.contract.messages.vm import NetworkMode, VmmName, VmmWanted
from shared.errors import BangerError, Code
from shared.vm import files
from shared.vmm.accelerator import kvm_obstacle
from shared.vmm.firecracker import binary as firecracker
from shared.vmm.probe import BootScopedCache, failure_of, probe_initrd

_PROBE_SECONDS = 20.0
"""Under nested virtualisation a kernel takes some seconds to its init."""


@dataclass(frozen=True)
class Choice:
    """``reason``: half a sentence for people."""

    vmm: VmmName
    reason: str


def choose(
    wanted: VmmWanted,
    *,
    network: NetworkMode,
    config: Config,
    kernel: Path,
    run: Path,
    on_probe: Callable[[], object] = lambda: None,
) -> Choice:
    """Decide. Boots a probe guest, 20 s at most, once per boot of the host and per kernel, where
    nothing else speaks against Firecracker; ``on_probe`` is called before that.

    Raises:
        BangerError: ``incompatible`` or ``missing_tool`` when Firecracker is wanted and cannot be.
    """
    if wanted == "qemu":
        return Choice("qemu", "as asked")
    if wanted == "auto" and network == "user":
        return Choice("qemu", "for its user-mode network")
    obstacle = _plain_obstacle(network, config)
    obstacle = obstacle or _obstacle_of_binary(config.firecracker_bin)
    if obstacle is None:
        program = firecracker.find_program(config.firecracker_bin)
        obstacle = _obstacle_of_kvm(program, kernel, run, on_probe)
        if obstacle is None:
            version = firecracker.show(firecracker.version_of(program))
            return Choice("firecracker", f"Firecracker {version}, KVM runs its guests here")
    if wanted == "firecracker":
        raise obstacle
    return Choice("qemu", obstacle.message)


def _plain_obstacle(network: NetworkMode, config: Config) -> BangerError | None:
    """What can be known without a look at the host."""
    if network == "user":
        return BangerError(
            Code.INCOMPATIBLE,
            "Firecracker has no user-mode network, it needs the bridge",
            hint="set nat.enabled in the configuration, or use --vmm qemu",
        )
    if config.accel == "tcg":
        return BangerError(
            Code.INCOMPATIBLE,
            "Firecracker needs KVM, and accel = tcg forbids it",
            hint="set accel to auto, or use --vmm qemu",
        )
    return None


def _obstacle_of_binary(program: str) -> BangerError | None:
    try:
        firecracker.check_version(firecracker.find_program(program))
    except BangerError as error:
        return error
    return None


def _obstacle_of_kvm(
    program: Path, kernel: Path, run: Path, on_probe: Callable[[], object]
) -> BangerError | None:
    reason = kvm_obstacle()
    if reason is None:
        kept = BootScopedCache(run / "firecracker.json", f"{kernel.resolve().name} {program}")
        known = kept.read()
        if known is None:
            on_probe()
            known = {"failure": _failure_of_probe_guest(program, kernel)}
            kept.write(known)
        reason = known.get("failure")
    if reason is None:
        return None
    return BangerError(
        Code.INCOMPATIBLE,
        f"Firecracker needs KVM: {reason}",
        hint="banger doctor says more; use --vmm qemu",
    )


def _failure_of_probe_guest(program: Path, kernel: Path) -> str | None:
    with tempfile.TemporaryDirectory(prefix="banger-probe-") as directory:
        initrd, config = Path(directory, files.INITRD), Path(directory, "config.json")
        initrd.write_bytes(probe_initrd("reboot -f"))
        config.write_text(json.dumps(probe_config(kernel, initrd)))
        argv = [str(program), "--no-api", "--id", "banger-probe", "--config-file", str(config)]
        return failure_of(argv, _PROBE_SECONDS)


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
