"""Firecracker: runs VMs on the bridge, where KVM runs its guests."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.vmm.info import (
    Channel,
    Console,
    JailSettings,
    LaunchContext,
    LaunchTraces,
    VmmFinding,
    has_option,
    process_name,
)

if TYPE_CHECKING:
    from shared.config import Config
    from shared.vmm.accelerator import Accelerator


class Firecracker:
    """See ``DriverInfo``."""

    name = "firecracker"
    title = "Firecracker"
    networks = frozenset({"bridge"})
    needs_kvm = True
    console: Console = "fifo"
    agent: Channel = "vsock"
    powers_off = False
    snapshots = False
    packages: Mapping[str, str] = {}

    def program(self, config: "Config") -> str:
        return config.firecracker_bin

    def find_program(self, config: "Config") -> Path:
        from shared.vmm.firecracker.binary import find_program

        return find_program(self.program(config))

    def jail(self, config: "Config") -> JailSettings:
        from shared.vm import jail  # it brings asyncio, which a command of the CLI need not pay

        settings = config.firecracker
        return JailSettings(
            section="firecracker",
            jailer=settings.jailer_bin,
            directory=Path(settings.jail_directory),
            first_uid=settings.jail_uids,
            arguments=program_arguments(str(jail.API), str(jail.LOG)),
        )

    def check(self, context: LaunchContext) -> str:
        from shared.vmm.firecracker.binary import check_version, find_program, show
        from shared.vmm.firecracker.probe import check_kvm, refuse_emulation

        refuse_emulation(context.config)
        program = find_program(self.program(context.config))
        version = check_version(program)
        check_kvm(program, context)
        return f"Firecracker {show(version)}, KVM runs its guests here"

    def accelerator(self, _context: LaunchContext) -> "Accelerator":
        from shared.vmm.accelerator import Accel, Accelerator

        return Accelerator(Accel.KVM, "Firecracker knows no other")

    def recognises(self, argv: Sequence[str], vm_id: str) -> bool:
        """The jailer hands Firecracker the second form."""
        name = process_name(vm_id)
        return has_option(argv, "--id", name) or f"--id={name}" in argv

    def traces(self, _argv: Sequence[str]) -> LaunchTraces:
        return LaunchTraces(accel="kvm")

    def findings(self, config: "Config") -> Iterator[VmmFinding]:
        yield from _version(self.program(config))
        yield _jail(config)


def program_arguments(api: str, log: str) -> tuple[str, ...]:
    """How Firecracker is started, but for its id: ``api`` is its socket, ``log`` a file."""
    return "--api-sock", api, "--log-path", log, "--level", "Warning"


def _version(program: str) -> Iterable[VmmFinding]:
    from shared.vmm.firecracker.binary import (
        TESTED,
        find_program,
        newer_than_tested,
        show,
        version_of,
    )

    version = version_of(find_program(program))
    if newer_than_tested(version):
        found = f"Firecracker {show(version)} is newer than {show(TESTED)}, the newest tested"
        yield VmmFinding("version", "WARN", found)


def _jail(config: "Config") -> VmmFinding:
    """Whether a Firecracker that a guest broke out to would be nobody, or the user."""
    import os
    import shutil

    if not config.firecracker.jailer:
        return VmmFinding(
            "jail",
            "WARN",
            "Firecracker runs as you, without a jail",
            "set firecracker.jailer = true where nat runs as root (docs/firecracker.md)",
        )
    if config.nat.external:
        return VmmFinding("jail", "PASS", "root's nat makes one for each Firecracker")
    if os.geteuid() != 0:
        hint = "set nat.external and have root run nat, or set firecracker.jailer = false"
        return VmmFinding("jail", "FAIL", "firecracker.jailer is set, and nat is not root", hint)
    if shutil.which(config.firecracker.jailer_bin) is None:
        found = f"there is no program {config.firecracker.jailer_bin}"
        return VmmFinding("jail", "FAIL", found, "it comes with Firecracker's release")
    return VmmFinding("jail", "PASS", "each Firecracker has one")
