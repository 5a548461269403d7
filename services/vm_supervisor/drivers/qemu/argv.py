"""QEMU's command line for one VM: a pure function of its ``MachineSpec``.

The machine is microvm: no PCI, no legacy devices but PIT, PIC and a serial port, so a guest is
at its init in about a second even when emulated. docs/boot.md has the measurements.
"""

from pathlib import Path

from services.vm_supervisor.drivers.contract import MachineSpec
from services.vm_supervisor.drivers.kernel_arguments import kernel_arguments
from services.vm_supervisor.network.modes import CLOSED, FIRST_HUB, OPEN, GuestNetwork, Outside
from shared.vm import files
from shared.vmm.accelerator import Accel

PROGRAM = "qemu-system-x86_64"


def qemu_argv(spec: MachineSpec, program: str = PROGRAM) -> list[str]:
    """The whole command line; sockets and logs are where ``sockets`` and driver.py say."""
    return [
        program,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-name", f"banger-{spec.vm_id}"),
        *("-M", "microvm", *_accelerator(spec)),
        *("-smp", str(spec.vcpus), "-m", f"{spec.memory_mib}M"),
        *("-kernel", str(spec.kernel / "vmlinux"), "-initrd", str(spec.initrd)),
        *("-append", kernel_arguments(spec.accelerator)),
        *_channels(spec),
        *_drives(spec),
        *_first_device(spec.network),
        *_outside(spec.network.outside),
    ]


def _first_device(network: GuestNetwork) -> list[str]:
    """Straight on its tap, or on a hub with the closed user network."""
    device = f"virtio-net-device,mac={network.mac},netdev="
    if network.tap:
        return ["-netdev", network.qemu, "-device", f"{device}net0"]
    hub = [word for port in FIRST_HUB for word in ("-netdev", port)]
    return ["-netdev", network.qemu, *hub, "-device", f"{device}nic0"]


def _outside(outside: Outside | None) -> list[str]:
    """The second network device on its hub (id 0), and what the hub leads to."""
    if outside is None:
        return []
    user, port = (OPEN if outside.connected else CLOSED).netdevs
    return [
        *("-netdev", "hubport,id=net1,hubid=0"),
        *("-device", f"virtio-net-device,netdev=net1,mac={outside.mac}"),
        *("-netdev", user, "-netdev", port),
    ]


def _accelerator(spec: MachineSpec) -> list[str]:
    if spec.accelerator.accel is Accel.KVM:
        return ["-accel", "kvm", "-cpu", "host"]
    model = ["-cpu", spec.qemu_cpu] if spec.qemu_cpu else []
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
    drives = spec.drives
    return [
        *_drive("rootfs", drives.rootfs, read_only=True),
        *_drive("overlay", drives.overlay, read_only=False),
        *_drive("work", drives.work, read_only=False),
        *_drive("modules", drives.modules, read_only=True),
    ]


def _drive(name: str, path: Path, *, read_only: bool) -> list[str]:
    # Writes stay in the host's page cache; a flush from the guest is an fdatasync here, so what
    # the guest synced is safe. Discards give sparse space back.
    mode = "readonly=on" if read_only else "readonly=off,discard=unmap"
    backend = f"if=none,id={name},file={_escape(path)},format=raw,cache=writeback,{mode}"
    return ["-drive", backend, "-device", f"virtio-blk-device,drive={name},serial={name}"]


def _escape(path: Path) -> str:
    """QEMU's option parser takes a comma for the end of the value unless it is doubled."""
    return str(path).replace(",", ",,")
