"""The machine itself: its processor, whether KVM runs, and the sizes VMs get from it."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from cli.checks.result import Result, fail, ok, warn
from shared.config import Config
from shared.errors import BangerError
from shared.paths import Paths
from shared.sizes import MIB, default_memory_mib, default_vcpu

ARCHITECTURE = "x86_64"
KVM = Path("/dev/kvm")


def architecture(_paths: Paths, _config: Config) -> Iterator[Result]:
    machine = platform.machine()
    if machine == ARCHITECTURE:
        yield ok("architecture", machine)
    else:
        yield fail("architecture", machine, f"banger runs on {ARCHITECTURE} only, so far")


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
    from shared.accelerator import Accel, detect

    try:
        if paths.run.is_dir():
            answer = detect(kernel, paths.run)
        else:  # before the first start: nothing is made here, so the answer is not kept
            with TemporaryDirectory(prefix="banger-probe-") as elsewhere:
                answer = detect(kernel, Path(elsewhere))
    except BangerError as error:
        return warn("kvm", error.message, error.hint)
    if answer.accel is Accel.KVM:
        return ok("kvm", answer.reason)
    return _without_kvm(config, answer.reason, "VMs are emulated, about ten times slower")


def newest_kernel(paths: Paths) -> Path | None:
    """The directory of the kernel that was published last, or None."""
    kernels = [path.parent for path in paths.kernels.glob("*/manifest.json")]
    return max(kernels, key=lambda path: path.stat().st_mtime, default=None)


def isolation(_paths: Paths, _config: Config) -> Iterator[Result]:
    """Whether every VMM gets a control group of its own that limits it."""
    from shared.cgroup import support

    found = support()
    if found.base is not None and not found.missing:
        yield ok("isolation", f"cgroup v2 below {found.base}: {found.reason}")
    else:
        advice = "VMs run all the same; a cgroup v2 host with cpu, memory and pids limits them"
        yield warn("isolation", found.reason, advice)


def default_sizes(_paths: Paths, config: Config) -> Iterator[Result]:
    """What a VM gets when nothing is said, and where each number comes from."""
    cpus = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
    defaults = config.defaults
    vcpu, vcpu_from = _chosen(defaults.vcpu, default_vcpu(cpus), f"host has {cpus}")
    mib, mib_from = _chosen(defaults.memory_mib, default_memory_mib(memory), f"host has {memory}")
    sizes = f"{vcpu} vcpu ({vcpu_from}), {mib} MiB ({mib_from})"
    yield ok("default sizes", f"{sizes}, {defaults.disk} disk, {defaults.overlay} overlay")


def _chosen(configured: int | None, derived: int, host: str) -> tuple[int, str]:
    return (derived, host) if configured is None else (configured, "config")
