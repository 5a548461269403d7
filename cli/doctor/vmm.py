"""Which VMM runs the VMs and why, and whether it has KVM."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cli.doctor.finding import fail, ok, warn
from cli.doctor.tools import check_program
from shared.config import Config
from shared.errors import BangerError
from shared.paths import Paths
from shared.vmm.info import Finding

if TYPE_CHECKING:
    from shared.vmm.info import DriverInfo, LaunchContext

KVM = Path("/dev/kvm")
EMULATED = "VMs are emulated, about ten times slower"
PULL = "download it: banger kernel pull debian-bookworm"


def virtual_machines(paths: Paths, config: Config) -> Iterator[Finding]:
    """The VMM that a VM would get now, and why."""
    from shared.vmm.choice import choose
    from shared.vmm.registry import driver_info

    try:
        choice = choose(config.vmm, config.network_mode, _context(paths, config))
    except BangerError as error:
        yield fail("vmm", error.message, error.hint)
        return
    info = driver_info(choice.vmm)
    yield ok("vmm", f"{info.name} ({choice.reason})")
    if info.packages:
        yield from check_program(info.program(config), info.packages)
    if info.needs_kvm:
        yield ok("kvm", f"a test guest ran under {info.title}")
    else:
        yield from accelerator(info, paths, config)
    yield from info.findings(config)


def _context(paths: Paths, config: Config) -> "LaunchContext":
    from shared.vmm.info import LaunchContext

    return LaunchContext(config, newest_kernel(paths) or paths.kernels / "none", paths.run)


def accelerator(info: "DriverInfo", paths: Paths, config: Config) -> Iterator[Finding]:
    """Boots a test guest, because a device node that opens proves nothing."""
    if config.accel == "tcg":
        yield warn("kvm", "switched off by accel = tcg", EMULATED)
        return
    if not KVM.exists():
        hint = "enable virtualisation in the firmware and load kvm_intel or kvm_amd"
        yield _without_kvm(config, f"{KVM} does not exist", hint)
        return
    if not os.access(KVM, os.R_OK | os.W_OK):
        yield _without_kvm(config, f"no permission to open {KVM}", "add your user to the group kvm")
        return
    yield _probe(info, paths, config)


def _without_kvm(config: Config, found: str, hint: str) -> Finding:
    """FAIL when the configuration demands KVM, else a warning about speed."""
    return fail("kvm", found, hint) if config.accel == "kvm" else warn("kvm", found, hint)


def _probe(info: "DriverInfo", paths: Paths, config: Config) -> Finding:
    if newest_kernel(paths) is None:
        return warn("kvm", "not tested: no kernel is installed", PULL)
    from shared.vmm.accelerator import Accel

    try:
        answer = info.accelerator(_context(paths, config))
    except BangerError as error:
        return warn("kvm", error.message, error.hint)
    if answer.accel is Accel.KVM:
        return ok("kvm", answer.reason)
    return _without_kvm(config, answer.reason, EMULATED)


def newest_kernel(paths: Paths) -> Path | None:
    """The directory of the kernel that was published last, or None."""
    kernels = [path.parent for path in paths.kernels.glob("*/manifest.json")]
    return max(kernels, key=lambda path: path.stat().st_mtime, default=None)
