"""What runs the VMs: Firecracker or QEMU, why, and with KVM or without."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cli.doctor.result import Result, fail, ok, warn
from cli.doctor.tools import check_qemu
from shared.config import Config
from shared.errors import BangerError
from shared.paths import Paths

KVM = Path("/dev/kvm")


def virtual_machines(paths: Paths, config: Config) -> Iterator[Result]:
    """The choice that a VM would get now, and what speaks for it."""
    from shared.vmm.choice import choose

    kernel = newest_kernel(paths)
    try:
        choice = choose(
            config.vmm,
            network=config.network_mode,
            config=config,
            kernel=kernel or paths.kernels / "none",
            run=paths.run,
        )
    except BangerError as error:
        yield fail("vmm", error.message, error.hint)
        return
    if choice.vmm == "firecracker":
        yield from _firecracker(config, choice.reason)
        return
    yield ok("vmm", f"qemu ({choice.reason})")
    yield from check_qemu(config)
    yield from accelerator(paths, config)


def _firecracker(config: Config, reason: str) -> Iterator[Result]:
    from shared.vmm.firecracker.binary import (
        TESTED,
        find_program,
        newer_than_tested,
        show,
        version_of,
    )

    version = version_of(find_program(config.firecracker_bin))
    if newer_than_tested(version):
        yield warn(
            "vmm", f"firecracker ({reason})", f"newer than the {show(TESTED)} that is tested with"
        )
    else:
        yield ok("vmm", f"firecracker ({reason})")
    yield ok("kvm", "a probe guest ran under Firecracker")
    yield jail(config)


def jail(config: Config) -> Result:
    """Whether a Firecracker that a guest broke out to would be nobody, or the user."""
    advice = "set firecracker.jailer = true where nat is root's (docs/firecracker.md)"
    if not config.firecracker.jailer:
        return warn("jail", "Firecracker runs as you, without a jail", advice)
    if config.nat.external:
        return ok("jail", "each Firecracker has one, made by root's nat")
    if os.geteuid() != 0:
        hint = "set nat.external and have root run nat, or firecracker.jailer = false"
        return fail("jail", "firecracker.jailer is set, and nat is not root", hint)
    if shutil.which(config.firecracker.jailer_bin) is None:
        found = f"there is no program {config.firecracker.jailer_bin}"
        return fail("jail", found, "it comes with Firecracker's release")
    return ok("jail", "each Firecracker has one")


def accelerator(paths: Paths, config: Config) -> Iterator[Result]:
    """Asks the probe that runs a guest; a node that opens is no proof."""
    if config.accel == "tcg":
        yield warn("kvm", "switched off by accel = tcg", "VMs are emulated, about ten times slower")
        return
    if not KVM.exists():
        hint = "enable virtualisation in the firmware and load kvm_intel or kvm_amd"
        yield _without_kvm(config, f"there is no {KVM}", hint)
        return
    if not os.access(KVM, os.R_OK | os.W_OK):
        yield _without_kvm(config, f"{KVM} may not be opened", "add yourself to the group kvm")
        return
    yield _probe(paths, config)


def _without_kvm(config: Config, found: str, hint: str) -> Result:
    """An error where KVM is demanded, else a matter of speed."""
    return fail("kvm", found, hint) if config.accel == "kvm" else warn("kvm", found, hint)


def _probe(paths: Paths, config: Config) -> Result:
    kernel = newest_kernel(paths)
    if kernel is None:
        return warn("kvm", "not probed: that takes a kernel", "banger kernel pull debian-bookworm")
    from shared.vmm.accelerator import Accel, detect

    try:
        answer = detect(kernel, paths.run)
    except BangerError as error:
        return warn("kvm", error.message, error.hint)
    if answer.accel is Accel.KVM:
        return ok("kvm", answer.reason)
    return _without_kvm(config, answer.reason, "VMs are emulated, about ten times slower")


def newest_kernel(paths: Paths) -> Path | None:
    """The directory of the kernel that was published last, or None."""
    kernels = [path.parent for path in paths.kernels.glob("*/manifest.json")]
    return max(kernels, key=lambda path: path.stat().st_mtime, default=None)
