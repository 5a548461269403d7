"""The host: its processor, its control groups, and the default sizes of VMs."""

import platform
from collections.abc import Iterator

from cli.doctor.finding import fail, ok, warn
from shared.config import Config
from shared.contract.sizes import default_memory_mib, default_vcpu, host
from shared.paths import Paths
from shared.vmm.info import Finding

ARCHITECTURE = "x86_64"


def architecture(_paths: Paths, _config: Config) -> Iterator[Finding]:
    machine = platform.machine()
    if machine == ARCHITECTURE:
        yield ok("architecture", machine)
    else:
        yield fail("architecture", machine, f"only {ARCHITECTURE} is supported")


def isolation(_paths: Paths, _config: Config) -> Iterator[Finding]:
    """Whether each VMM gets a control group that limits it."""
    from shared.host.cgroup import support

    found = support()
    if found.base is not None and not found.missing:
        yield ok("isolation", f"cgroup v2 below {found.base}: {found.reason}")
    else:
        advice = "VMs run without limits; cgroup v2 with cpu, memory and pids would limit them"
        yield warn("isolation", found.reason, advice)


def default_sizes(_paths: Paths, config: Config) -> Iterator[Finding]:
    """The sizes of a VM without options, and where each number comes from."""
    cpus, memory = host().cpus, host().memory_mib
    defaults = config.defaults
    vcpu, vcpu_from = _chosen(defaults.vcpu, default_vcpu(cpus), f"host has {cpus}")
    mib, mib_from = _chosen(defaults.memory_mib, default_memory_mib(memory), f"host has {memory}")
    sizes = f"{vcpu} vcpu ({vcpu_from}), {mib} MiB ({mib_from})"
    yield ok("default sizes", f"{sizes}, {defaults.disk} disk, {defaults.overlay} overlay")


def _chosen(configured: int | None, derived: int, source: str) -> tuple[int, str]:
    return (derived, source) if configured is None else (configured, "config")
