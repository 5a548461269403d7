"""Firecracker: runs VMs on the bridge, where KVM runs its guests."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.vmm.info import (
    Channel,
    Console,
    Finding,
    JailSettings,
    LaunchContext,
    LaunchTraces,
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

    def hardening(self, _context: LaunchContext) -> tuple[str, ...]:
        """Its own seccomp filters are on without an option (docs/seccomp.md of Firecracker)."""
        return ()

    def version(self, context: LaunchContext) -> str:
        from shared.vmm.firecracker.binary import find_program, show, version_of

        return show(version_of(find_program(self.program(context.config))))

    def cpu(self, _context: LaunchContext, _accelerator: "Accelerator") -> str:
        from shared.vmm.processor import host_processor

        return host_processor()

    def recognises(self, argv: Sequence[str], vm_id: str) -> bool:
        """The jailer hands Firecracker the second form."""
        name = process_name(vm_id)
        return has_option(argv, "--id", name) or f"--id={name}" in argv

    def traces(self, _argv: Sequence[str]) -> LaunchTraces:
        return LaunchTraces(accel="kvm")

    def findings(self, config: "Config") -> Iterator[Finding]:
        yield from _version(self.program(config))
        yield _jail(config)


def program_arguments(api: str, log: str) -> tuple[str, ...]:
    """How Firecracker is started, but for its id: ``api`` is its socket, ``log`` a file."""
    return "--api-sock", api, "--log-path", log, "--level", "Warning"


def _version(program: str) -> Iterable[Finding]:
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
        yield Finding("version", "WARN", found)


def _jail(config: "Config") -> Finding:
    """Whether a Firecracker that a guest broke out to would be nobody, or the user."""
    import os
    import shutil

    if not config.firecracker.jailer:
        return Finding(
            "jail",
            "WARN",
            "Firecracker runs as your user, without a jail",
            "set firecracker.jailer = true where nat runs as root (docs/firecracker.md)",
        )
    if config.nat.external:
        return Finding("jail", "PASS", "nat, run by root, makes one for each Firecracker")
    if os.geteuid() != 0:
        hint = "run nat as root and set nat.external, or set firecracker.jailer = false"
        return Finding(
            "jail", "FAIL", "firecracker.jailer is set, but nat does not run as root", hint
        )
    if shutil.which(config.firecracker.jailer_bin) is None:
        found = f"{config.firecracker.jailer_bin} is not installed"
        return Finding("jail", "FAIL", found, "it comes with Firecracker's release")
    return Finding("jail", "PASS", "each Firecracker has one")
