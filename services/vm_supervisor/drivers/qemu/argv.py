"""QEMU's command line for one VM: a pure function of its ``MachineSpec``.

The machine is microvm: no PCI, no legacy devices but PIT, PIC and a serial port, so a guest is
at its init in about a second even when emulated. docs/boot.md has the measurements.
"""

from dataclasses import dataclass
from pathlib import Path

from services.vm_supervisor.drivers.contract import MachineSpec
from services.vm_supervisor.drivers.kernel_arguments import kernel_arguments
from services.vm_supervisor.drivers.qemu.hubs import CLOSED, FIRST_HUB, OPEN, filtered
from services.vm_supervisor.drivers.qemu.saved_networks import begins_with_configuration
from services.vm_supervisor.network.modes import GuestNetwork, Outside
from services.vm_supervisor.network.outside_filter import filter_id
from shared.vm import files
from shared.vm.saved import memory_form
from shared.vmm.accelerator import Accel
from shared.vmm.info import process_name
from shared.vmm.qemu.binary import PROGRAM

_RESET = ("reboot=t",)
"""A guest resets itself by a triple fault. Before that, Linux would ask a keyboard controller
655,360 times, which microvm does not have; while QEMU serves hundreds of forwards that takes a
minute."""

_LOAD = ("-incoming", "defer", "-S")
_WITHOUT_CONFIGURATION = ("-global", "migration.send-configuration=off")
"""For a device state that does not begin with the name of the machine. Whoever has loaded one does
not write it either."""
INHERITED = "/proc/self/fd"
"""Where QEMU finds what it inherits. A file that has a name can stay where it is when the machine
is saved; since 8.1 QEMU insists on the name."""
MEMORY = "microvm.ram"
"""The id of the memory's object: what QEMU calls it when nobody names one, so that a machine with
one kind of memory can be loaded into the other."""


@dataclass(frozen=True)
class Inherited:
    """Descriptors that QEMU has from its start, by number; -1 without."""

    ends: tuple[int, int] = (-1, -1)
    """Of ``filtered_pair``, in user mode."""
    memory: int = -1
    """The guest's memory: a file in the host's memory (memfd_create(2))."""

    def numbers(self) -> list[int]:
        return [number for number in (*self.ends, self.memory) if number >= 0]


def qemu_argv(
    spec: MachineSpec,
    program: str = PROGRAM,
    cpu: str = "",
    inherited: "Inherited | None" = None,
    saved: Path | None = None,
) -> list[str]:
    """The whole command line. ``cpu``: the model to emulate without KVM; empty: QEMU's own.
    ``saved``: the directory of a saved machine, to be loaded by ``Migration.load``."""
    inherited = inherited or Inherited()
    return [
        program,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-name", process_name(spec.place.vm_id), *spec.hardening),
        *(*_memory(spec, saved, inherited), *_accelerator(spec, cpu)),
        *("-smp", str(spec.vcpus), "-m", f"{spec.memory_mib}M"),
        *(_load(saved) if saved else _boot(spec)),
        *_channels(spec),
        *_drives(spec),
        *_first_device(spec.network, is_forwarded=not spec.holds_ports),
        *_outside(spec.network.outside, inherited.ends),
    ]


def _load(saved: Path) -> list[str]:
    whole = memory_form(saved) == "stream"
    configured = begins_with_configuration(saved / (files.MEMORY if whole else files.DEVICE_STATE))
    return [*_LOAD, *(() if configured else _WITHOUT_CONFIGURATION)]


def _boot(spec: MachineSpec) -> list[str]:
    return [
        *("-kernel", str(spec.kernel / "vmlinux"), "-initrd", str(spec.initrd)),
        *("-append", kernel_arguments(spec.accelerator, _RESET)),
    ]


def _memory(spec: MachineSpec, saved: Path | None, inherited: Inherited) -> list[str]:
    """The machine and its memory: anonymous, a file of its own, or a private mapping of a saved
    one. What the guest writes to a private mapping is seen by nobody else (mmap(2))."""
    if spec.memory_file:
        path, share = spec.memory_file, "on"
    elif saved and memory_form(saved) == "file":
        path, share = saved / files.MEMORY, "off"
    elif inherited.memory >= 0:
        path, share = Path(f"{INHERITED}/{inherited.memory}"), "on"
    else:
        return ["-M", "microvm"]
    backend = f"memory-backend-file,id={MEMORY},size={spec.memory_mib}M"
    return [
        *("-object", f"{backend},mem-path={_escape(path)},share={share}"),
        *("-M", f"microvm,memory-backend={MEMORY}"),
    ]


def _first_device(network: GuestNetwork, *, is_forwarded: bool) -> list[str]:
    """Straight on its tap, or on a hub with a user network that is closed (restrict=on) but for
    ssh, if that ``is_forwarded`` from the start."""
    device = f"virtio-net-device,mac={network.mac},netdev="
    if network.tap:
        tap = f"tap,id=net0,ifname={network.tap},script=no,downscript=no"
        return ["-netdev", tap, "-device", f"{device}net0"]
    forward = f",hostfwd=tcp:{network.access_host}:{network.access_port}-:22"
    hub = [word for port in FIRST_HUB for word in ("-netdev", port)]
    closed = f"user,id=net0,restrict=on,ipv6=off{forward if is_forwarded else ''}"
    return ["-netdev", closed, *hub, "-device", f"{device}nic0"]


def _outside(outside: Outside | None, ends: tuple[int, int]) -> list[str]:
    """The second network device, through the filter on its hub (id 0), and what that leads to."""
    if outside is None:
        return []
    user, port = (OPEN if outside.connected else CLOSED).netdevs
    netdevs = (*filtered(*ends, filter_id(outside.literal)), user, port)
    return [
        *(word for netdev in netdevs for word in ("-netdev", netdev)),
        *("-device", f"virtio-net-device,netdev=net1,mac={outside.mac}"),
    ]


def _accelerator(spec: MachineSpec, cpu: str) -> list[str]:
    if spec.accelerator.accel is Accel.KVM:
        return ["-accel", "kvm", "-cpu", "host"]
    model = ["-cpu", cpu] if cpu else []
    # The default translation buffer is a quarter of the host's memory (at most 1 GiB).
    return ["-accel", "tcg,tb-size=128", *model]


def _channels(spec: MachineSpec) -> list[str]:
    """QMP, serial console (kept in console.log) and the guest agent's port."""
    run = _escape(spec.run)
    log = _escape(spec.state / files.CONSOLE_LOG)
    socket = "server=on,wait=off"
    return [
        *("-qmp", f"unix:{run}/{files.QMP_SOCKET},{socket}"),
        "-chardev",
        f"socket,id=console,path={run}/{files.CONSOLE_SOCKET},{socket},logfile={log},logappend=on",
        *("-serial", "chardev:console"),
        *("-device", "virtio-serial-device"),
        *("-chardev", f"socket,id=agent,path={run}/{files.AGENT_SOCKET},{socket}"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
        *("-object", "rng-random,id=rng,filename=/dev/urandom"),
        *("-device", "virtio-rng-device,rng=rng"),
    ]


def _drives(spec: MachineSpec) -> list[str]:
    return [word for drive in spec.drives.devices() for word in _drive(*drive)]


def _drive(name: str, path: Path, read_only: bool) -> list[str]:
    # Writes stay in the host's page cache. A flush from the guest is an fdatasync on the host, so
    # what the guest has synced is safe. Discards make the file sparse again.
    mode = "readonly=on" if read_only else "readonly=off,discard=unmap"
    backend = f"if=none,id={name},file={_escape(path)},format=raw,cache=writeback,{mode}"
    return ["-drive", backend, "-device", f"virtio-blk-device,drive={name},serial={name}"]


def _escape(path: Path) -> str:
    """Double commas: a single one ends the value in QEMU's option parser."""
    return str(path).replace(",", ",,")
