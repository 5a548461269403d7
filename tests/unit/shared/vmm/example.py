"""A VMM that nobody has heard of, for tests to register."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.config import Config
from shared.errors import BangerError
from shared.vmm.accelerator import Accel, Accelerator
from shared.vmm.info import (
    Channel,
    Console,
    DriverInfo,
    Finding,
    LaunchContext,
    LaunchTraces,
    process_name,
)
from shared.vmm.registry import VMMS


class Paper:
    """See ``DriverInfo``. ``obstacle``: why it cannot run a VM."""

    name = "paper"
    title = "Paper"
    needs_kvm = False
    console: Console = "socket"
    agent: Channel = "virtio-serial"
    powers_off = True
    snapshots = False
    packages: Mapping[str, str] = {}

    def __init__(self, *networks: str, obstacle: BangerError | None = None) -> None:
        self.networks = frozenset(networks or ("user", "bridge"))
        self._obstacle = obstacle

    def program(self, _config: Config) -> str:
        return "paper-vmm"

    def find_program(self, config: Config) -> Path:
        return Path("/usr/bin", self.program(config))

    def jail(self, _config: Config) -> None:
        return None

    def check(self, _context: LaunchContext) -> str:
        if self._obstacle:
            raise self._obstacle
        return "there is paper here"

    def accelerator(self, _context: LaunchContext) -> Accelerator:
        return Accelerator(Accel.TCG, "paper is slow")

    def hardening(self, _context: LaunchContext) -> tuple[str, ...]:
        return ()

    def version(self, _context: LaunchContext) -> str:
        return "1.0"

    def cpu(self, _context: LaunchContext, _accelerator: Accelerator) -> str:
        return "paper"

    def recognises(self, argv: Sequence[str], vm_id: str) -> bool:
        return f"vm={process_name(vm_id)}" in argv

    def traces(self, argv: Sequence[str]) -> LaunchTraces:
        ports = [word.removeprefix("ssh=") for word in argv if word.startswith("ssh=")]
        return LaunchTraces("tcg", int(ports[0]))

    def findings(self, _config: Config) -> Iterable[Finding]:
        return [Finding("paper", "PASS", "a ream of it")]


@contextmanager
def registered(*infos: DriverInfo) -> Iterator[None]:
    """Inside, these are the first VMMs that ``auto`` asks."""
    before = VMMS[:]
    VMMS[:0] = infos
    try:
        yield
    finally:
        VMMS[:] = before
