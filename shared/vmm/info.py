"""What is known of a VMM without driving it: the same facts of each, for all who ask.

A VMM has a folder here with its ``DriverInfo`` and one in services/vm_supervisor/drivers with what
drives it. Both are named once in a registry. Nothing else knows a VMM by its name. Commands of the
CLI import this module, so what is heavy is imported where it is used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from shared.config import Config
    from shared.vmm.accelerator import Accelerator

Console = Literal["socket", "fifo"]
"""The serial console. socket: both directions on ``CONSOLE_SOCKET``. fifo: the guest prints to
``CONSOLE_LOG``, and what is typed goes into ``CONSOLE_INPUT``."""
Channel = Literal["virtio-serial", "vsock"]
"""How the guest's agent is reached, through ``AGENT_SOCKET``."""


@dataclass(frozen=True)
class LaunchContext:
    """What a VMM is asked about: this host's configuration and the kernel to boot.

    ``run`` is the run directory, which keeps the answers of probe guests. ``say`` is called with a
    sentence before something that takes seconds.
    """

    config: "Config"
    kernel: Path
    run: Path
    say: Callable[[str], object] = lambda _: None


@dataclass(frozen=True)
class LaunchTraces:
    """What the command line of a running VMM tells of its launch. ``accel``: kvm or tcg;
    ``ssh_port``: the port of the VM's address that reaches the guest's sshd."""

    accel: str
    ssh_port: int = 22


@dataclass(frozen=True)
class Finding:
    """What ``banger doctor`` says about a VMM in one line; ``hint``: what to do about it."""

    name: str
    status: Literal["PASS", "WARN", "FAIL"]
    found: str
    hint: str = ""


@dataclass(frozen=True)
class JailSettings:
    """How a VMM is jailed: with Firecracker's jailer, as the configuration has it."""

    section: str
    """Of the configuration, for hints."""
    jailer: str
    """Name or path of the jailer."""
    directory: Path
    """Where all jails are."""
    first_uid: int
    arguments: tuple[str, ...]
    """The command line of the VMM inside, behind what the jailer adds."""


class DriverInfo(Protocol):
    """One VMM."""

    name: str
    """As options, rows and handles have it."""
    title: str
    """As people read it."""
    networks: frozenset[str]
    """The network modes of VMs that it can run."""
    needs_kvm: bool
    """Whether it cannot emulate a processor."""
    console: Console
    agent: Channel
    powers_off: bool
    """Whether it ends when the guest powers off. Else only a reset of the guest ends it at once."""
    snapshots: bool
    """Whether it can save a running guest and start from what was saved."""
    packages: Mapping[str, str]
    """The package that has the program, by family of distributions; empty where none has."""

    def program(self, config: "Config") -> str:
        """Name or path of its program, as the configuration has it."""

    def find_program(self, config: "Config") -> Path:
        """The path of its program. Raises ``missing_tool``."""

    def jail(self, config: "Config", /) -> JailSettings | None:
        """How nat jails it; None for a VMM that runs in no jail."""

    def check(self, context: LaunchContext, /) -> str:
        """Why it can run a VM here, in half a sentence; "" where nothing has to be said.

        May boot a probe guest, 20 s at most, once per boot of the host and per kernel.

        Raises:
            BangerError: the obstacle, ``incompatible`` or ``missing_tool``.
        """

    def accelerator(self, context: LaunchContext, /) -> "Accelerator":
        """With what it runs a guest here. May boot a probe guest, as ``check``."""

    def hardening(self, context: LaunchContext, /) -> tuple[str, ...]:
        """Options of its program that confine the VMM itself, as far as it has them here. May run
        the program, once per boot of the host."""

    def version(self, context: LaunchContext, /) -> str:
        """What has to be the same where a saved machine is started: so much of the program's
        version as its state depends on, as "7.2". May run the program, once per boot of the host.

        Raises:
            BangerError: ``missing_tool``, ``incompatible`` for one that does not say.
        """

    def cpu(self, context: LaunchContext, accelerator: "Accelerator", /) -> str:
        """The processor that guests see, in a few words: the same where the words are the same."""

    def recognises(self, argv: Sequence[str], vm_id: str) -> bool:
        """Whether a process with this command line is the VMM of this VM."""

    def traces(self, argv: Sequence[str], /) -> LaunchTraces:
        """What the command line of one that runs says."""

    def findings(self, config: "Config", /) -> Iterable[Finding]:
        """What doctor says beyond ``check`` where this VMM would run the VMs."""


def has_option(argv: Sequence[str], option: str, value: str) -> bool:
    """Whether a command line has ``option`` with ``value`` as the next word."""
    return (option, value) in pairwise(argv)


def process_name(vm_id: str) -> str:
    """What every VMM is told to call the VM, so that its process can be found by it."""
    return f"banger-{vm_id}"
