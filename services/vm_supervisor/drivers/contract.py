"""What a VMM driver does, whichever VMM it is: launch, adopt, pause, resume, save, end.

A driver turns a ``MachineSpec`` into a running VMM process and returns a ``Machine``. Killing the
supervisor leaves the VMM running; ``adopt`` takes it over again by its process identity::

    driver = make_driver("qemu", config, jailer)
    driver.prepare(spec)                    # raises for a tool or a file that is missing
    machine = await driver.launch(spec)     # returns as soon as the VMM process exists
    write_handle(spec.run, handle)          # before anything else: now it can be adopted
    await machine.attach()
    agent = await Agent.connect(machine.agent, deadline=...)
    end = await machine.ended()             # VmmExit(reason=ExitReason.POWEROFF, ...)

A machine is saved to a directory, and a VMM is launched from it instead of booting::

    async with agent.parted(deadline):          # a vsock connection does not outlive a save
        await machine.pause()
        form = await machine.save(directory)    # writes memory and device state
        await machine.resume()
    await machine.collect(directory)            # what could wait until the guest runs again
    copy = await driver.launch(spec, directory)
    await copy.attach()                     # loads them; the guest is paused
    await copy.resume()

A scripted VMM passes the same contract test as the real ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from signal import SIGKILL, Signals
from socket import socket
from typing import NamedTuple, Protocol

from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.network.modes import Forward, GuestNetwork
from shared.errors import BangerError, Code
from shared.host.process import ProcessId
from shared.vm import files
from shared.vm.saved import MemoryForm
from shared.vmm.accelerator import Accelerator
from shared.vmm.info import DriverInfo


class Drive(NamedTuple):
    """One block device of a guest."""

    name: str
    path: Path
    read_only: bool


@dataclass(frozen=True)
class Drives:
    """The files behind the guest's block devices.

    ``overlay`` and ``work`` belong to the VM. All others are read-only and shared by all VMs.
    """

    rootfs: Path
    """The image."""
    overlay: Path
    work: Path
    modules: Path
    tools: Path | None = None
    """Programs for an image that lacks them; None with a kernel of before there were any."""
    bases: tuple[Path, ...] = ()
    """The images below ``rootfs``, topmost first."""
    seed: Path | None = None
    """What a new work disk begins with."""

    def devices(self) -> list[Drive]:
        """All of them in the order in which the guest numbers them: /dev/vda, vdb, ..."""
        return [
            Drive("rootfs", self.rootfs, True),
            Drive("overlay", self.overlay, False),
            Drive("work", self.work, False),
            Drive("modules", self.modules, True),
            *([Drive("tools", self.tools, True)] if self.tools else []),
            *(Drive(f"base{n}", path, True) for n, path in enumerate(self.bases)),
            *([Drive("seed", self.seed, True)] if self.seed else []),
        ]

    def letters(self) -> dict[str, str]:
        """Name of a drive → the guest's name of its device, e.g. "vda"."""
        return {drive.name: f"vd{chr(ord('a') + n)}" for n, drive in enumerate(self.devices())}


@dataclass(frozen=True)
class VmPlace:
    """A VM and its two directories."""

    vm_id: str
    run: Path
    """Sockets: of control, agent and console."""
    state: Path
    """Logs: of the guest's serial console, and the VMM's own."""


@dataclass(frozen=True)
class MachineSpec:
    """Everything a driver needs to launch one VM. Paths are absolute."""

    place: VmPlace
    vcpus: int
    memory_mib: int
    accelerator: Accelerator
    """What ``DriverInfo.accelerator`` answered."""
    kernel: Path
    """The kernel's directory: holds vmlinux (ELF) and vmlinuz."""
    initrd: Path
    drives: Drives
    network: GuestNetwork
    hardening: tuple[str, ...] = ()
    """What ``DriverInfo.hardening`` answered."""
    memory_file: Path | None = None
    """The guest's memory is this file, which is made, and mapped shared: ``save`` into the file's
    directory copies no memory. None: it is anonymous, or a private mapping of a saved one."""

    holds_ports: bool = False
    """User mode: the port of the host that leads to the guest's sshd is not the VMM's yet: it is
    forwarded as all others, after ``attach``."""

    @property
    def run(self) -> Path:
        return self.place.run

    @property
    def state(self) -> Path:
        return self.place.state


class ExitReason(StrEnum):
    """Why a VMM process is gone."""

    POWEROFF = "poweroff"  # the guest powered itself off
    REBOOT = "reboot"  # the guest asked for a reset: launch it again
    PANIC = "panic"
    KILLED = "killed"  # by a signal
    CRASHED = "crashed"  # the VMM failed by itself
    UNKNOWN = "unknown"  # it ended while nobody was watching


@dataclass(frozen=True)
class VmmExit:
    """The end of a VMM: why, and one line about it that names the log."""

    reason: ExitReason
    detail: str


class PortTaken(BangerError):
    """The VMM could not have a port of the host that had been free when it was chosen."""


class UserNetwork(Protocol):
    """A VMM's own user-mode network. Raises as ``Machine`` does."""

    @property
    def obstacle(self) -> str:
        """What its forwards do less well than they should here, in a sentence; "" for nothing."""

    async def add_forward(self, forward: Forward, bound: socket | None = None) -> None:
        """Make a guest port appear on the host. Raises ``conflict`` if the port is taken.

        ``bound``: UDP: a socket that has the port already, with the datagrams that wait in it. It
        is the network's from now on.
        """

    async def remove_forward(self, forward: Forward) -> None: ...

    async def set_uplink(self, *, on: bool, literal: Sequence[str] = ()) -> None:
        """Open or close the guest's way out while it runs; idempotent.

        ``literal``: the networks on its egress list, as when the VMM was launched. Raises
        ``conflict`` when they are others.
        """


class Machine(Protocol):
    """One running VMM. Every coroutine raises ``not_running`` once the VMM is gone."""

    @property
    def process(self) -> ProcessId: ...

    @property
    def console_start(self) -> int:
        """Where in console.log this boot's output begins, in bytes."""

    @property
    def agent(self) -> AgentAddress: ...

    @property
    def user_network(self) -> UserNetwork | None:
        """None where the VMM has none; of use to a guest in user mode only."""

    async def attach(self) -> None:
        """Connect to the VMM's control socket, once; the guest boots when this returns.

        A saved machine is loaded when this returns, and paused until ``resume``. Nobody needs its
        files any more.

        Raises ``guest_failed`` with the VMM's last words when the VMM has died or refuses the
        machine, ``invalid`` when it refuses what was saved, and ``not_running`` for an adopted VMM
        whose guest was never started or that was still loading.
        """

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...

    async def version(self) -> str:
        """``DriverInfo.version`` of the program that runs, which may have been replaced since."""

    async def save(self, target: Path) -> MemoryForm:
        """Write ``files.MEMORY`` into ``target``; and ``files.DEVICE_STATE``, unless the first is a
        stream.

        The guest must be paused, and still is when this returns or raises: whatever fails,
        ``resume`` lets it go on. Nothing is flushed to the disk. What is written of a save that
        failed is of no use.

        Raises ``no_space``, ``conflict`` for a VMM that cannot be saved, with why.
        """

    async def collect(self, target: Path) -> None:
        """Finish what the last ``save`` into ``target`` began, before its files are used, or after
        it has failed. The guest may run meanwhile, and its VMM may have ended.

        Raises ``no_space`` and ``denied``, ``guest_failed`` for files that are none.
        """

    def kill(self, signum: Signals = SIGKILL) -> None:
        """Signal the VMM; nothing happens if it is gone. ``ended`` returns when it is."""

    async def ended(self) -> VmmExit:
        """Wait for the VMM process to be gone. May be awaited by several tasks, and again."""

    async def close(self) -> None:
        """Release the VMM without ending it."""


class Jailer(Protocol):
    """What ``nat`` does for a driver that jails its VMMs. Raises what its verbs do."""

    async def jail(self, vm_id: str, bases: Sequence[str]) -> ProcessId:
        """Start the VM's VMM in a jail. ``bases``: ids of the images below the VM's own."""

    async def signal(self, vm_id: str, signum: Signals) -> None:
        """Signal the VM's jailed VMM."""


class Driver(Protocol):
    """A way to run virtual machines."""

    info: DriverInfo

    def prepare(self, spec: MachineSpec, saved: Path | None = None) -> None:
        """Check tools and files before anything is created: ``missing_tool``, ``not_found``."""

    async def launch(self, spec: MachineSpec, saved: Path | None = None) -> Machine:
        """Start the VMM in a session of its own and return while the guest boots.

        ``saved``: the directory of a saved machine, which ``attach`` loads instead. Its files must
        be there until then, and those of ``spec.drives`` must be as they were when it was saved.
        Kernel and initrd are not read. With ``spec.memory_file`` a stream is loaded into that file.
        """

    def adopt(self, place: VmPlace, process: ProcessId, console_start: int) -> Machine:
        """Take over a VMM that an earlier supervisor launched; ``console_start`` as its machine
        had it.

        Raises ``not_running`` when that process is gone. A pid counts only with its start time.
        """


def check_files(spec: MachineSpec, saved: Path | None = None) -> None:
    """Raise ``not_found`` for a missing file of the VM; every VMM needs them all."""
    drives = (drive.path for drive in spec.drives.devices())
    boot = (saved / files.MEMORY,) if saved else (spec.initrd, spec.kernel / "vmlinux")
    for path in (*drives, *boot):
        if not path.exists():
            raise BangerError(Code.NOT_FOUND, f"the VM needs {path}, which does not exist")


def cannot_save(title: str) -> BangerError:
    """The error of a VMM that cannot save machines, or start from saved ones."""
    return BangerError(
        Code.CONFLICT, f"{title} cannot save a running guest, or start from a saved one"
    )
