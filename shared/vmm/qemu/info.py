"""QEMU: runs wherever banger does, with KVM or without, on the bridge or on its own network."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.vmm.info import (
    Channel,
    Console,
    Finding,
    LaunchContext,
    LaunchTraces,
    has_option,
    process_name,
)

if TYPE_CHECKING:
    from shared.config import Config
    from shared.vmm.accelerator import Accelerator

_SSH_FORWARD = re.compile(r"hostfwd=tcp:[\d.]+:(\d+)-:22(?=,|$)")

_PACKAGES = {
    "debian": "qemu-system-x86",
    "fedora": "qemu-system-x86-core",
    "arch": "qemu-system-x86",
    "suse": "qemu-x86",
    "alpine": "qemu-system-x86_64",
}


class Qemu:
    """See ``DriverInfo``."""

    name = "qemu"
    title = "QEMU"
    networks = frozenset({"user", "bridge"})
    needs_kvm = False
    console: Console = "socket"
    agent: Channel = "virtio-serial"
    powers_off = True
    snapshots = True
    packages: Mapping[str, str] = _PACKAGES

    def program(self, config: "Config") -> str:
        return config.qemu_bin

    def find_program(self, config: "Config") -> Path:
        from shared.vmm.qemu.binary import find_program

        return find_program(self.program(config))

    def jail(self, _config: "Config") -> None:
        return None

    def check(self, _context: LaunchContext) -> str:
        """Nothing is in its way; that its program is missing is found, and said, at a start."""
        return ""

    def accelerator(self, context: LaunchContext) -> "Accelerator":
        from shared.vmm.accelerator import Accel
        from shared.vmm.qemu.probe import configured, detect

        config = context.config
        return detect(context) if config.accel == "auto" else configured(Accel(config.accel))

    def hardening(self, context: LaunchContext) -> tuple[str, ...]:
        from shared.vmm.qemu.sandbox import sandbox_options

        return sandbox_options(context)

    def version(self, context: LaunchContext) -> str:
        from shared.vmm.qemu.release import release

        return release(context)

    def cpu(self, context: LaunchContext, accelerator: "Accelerator") -> str:
        from shared.vmm.accelerator import Accel
        from shared.vmm.processor import host_processor

        if accelerator.accel is Accel.KVM:
            return host_processor()
        return context.config.qemu_cpu or "QEMU's default"

    def recognises(self, argv: Sequence[str], vm_id: str) -> bool:
        return has_option(argv, "-name", process_name(vm_id))

    def traces(self, argv: Sequence[str]) -> LaunchTraces:
        accel = "kvm" if has_option(argv, "-accel", "kvm") else "tcg"
        forwards = (found for word in argv if (found := _SSH_FORWARD.search(word)))
        forward = next(forwards, None)
        return LaunchTraces(accel, int(forward[1])) if forward else LaunchTraces(accel)

    def findings(self, _config: "Config") -> Iterable[Finding]:
        return ()
