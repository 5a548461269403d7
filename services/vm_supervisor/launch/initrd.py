"""The initrd of one VM: the kernel's modules, the files of guest/rootfs, and a few of this VM.

A Linux initramfs may be several newc archives one after another (Documentation/driver-api/
early-userspace/buffer-format.rst); later files win. So nothing is unpacked or repacked: three parts
are written one after another, uncompressed, since the VMM only copies them.
"""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from services.vm_supervisor.drivers.contract import Drives
from services.vm_supervisor.guest import adjust
from services.vm_supervisor.guest.channel import GUEST_CID, VSOCK_PORT
from services.vm_supervisor.network.modes import GuestNetwork
from shared.errors import BangerError, Code
from shared.host.busybox import find_busybox
from shared.host.cpio import Archive
from shared.host.files import is_full
from shared.vmm.info import Channel

_GUEST = Path(__file__).parents[1] / "guest" / "rootfs"

APPLETS = (
    "chmod chroot cp fstrim grep head insmod ip ln mkdir mkfifo mount mv poweroff reboot rm sh"
    " sleep sync timeout tr umount"
).split()
"""What the scripts of guest/rootfs call, each a link to busybox."""
_PROGRAMS = ("init", "shutdown")
_FILES = ("start", "daemons", "apply", "renew", "hand_over", "settle")
_LATE_UNMOUNTS = (
    *("root", "usr-lib-modules-", "lib-modules-", "run-credentials-", "run-banger-", "var-lib-"),
)
"""Names, or beginnings of names, of mount units (systemd.unit(5), drop-ins for truncated names)."""


@dataclass(frozen=True)
class GuestIdentity:
    """What makes a guest different from every other one: the files of /banger in the initrd."""

    hostname: str
    machine_id: str
    """32 hex characters (machine-id(5))."""
    host_key: str
    """The guest's own ssh host key: OpenSSH private key text."""
    authorized_keys: str
    kernel_version: str
    """What uname -r says; where the modules are mounted."""
    network: GuestNetwork
    agent: Channel
    """Where the guest's agent listens."""
    drives: Drives
    """Which of the guest's devices is what."""


def write_initrd(target: Path, kernel_modules: Path, identity: GuestIdentity) -> None:
    """Write the initrd to ``target``, atomically, mode 0600 (it holds the host key).

    ``kernel_modules`` is the kernel's initrd-modules.cpio.

    Raises:
        BangerError: ``missing_tool`` without a static busybox, ``not_found`` without
            ``kernel_modules``, ``no_space``.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as output:
            output.write(_read_modules(kernel_modules))
            output.write(base_part(find_busybox()))
            output.write(identity_part(identity))
        temporary.replace(target)
    except OSError as error:
        if is_full(error):
            raise BangerError(Code.NO_SPACE, f"no space left to write {target}") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def base_part(busybox: Path) -> bytes:
    """The archive that is the same for every VM: busybox, and the files of guest/rootfs.

    It stays mounted in the guest, at /run/initramfs.
    """
    archive = Archive()
    archive.directory(".")  # the kernel lets everybody write there
    for mount_point in ("proc", "sys", "dev", "run", "image", "overlay", "newroot", "oldroot"):
        archive.directory(mount_point)
    for name in _PROGRAMS:
        archive.file(name, (_GUEST / name).read_bytes(), 0o755)
    for name in _FILES:
        archive.file(name, (_GUEST / name).read_bytes())
    archive.file("bin/busybox", busybox.read_bytes(), 0o755)
    for applet in APPLETS:
        archive.symlink(f"bin/{applet}", "busybox")
    archive.file("bin/adjust", adjust.program(), 0o755)
    archive.symlink("bin/banger-sshd", "/usr/sbin/sshd")
    archive.file("banger/exec", (_GUEST / "exec").read_bytes(), 0o755)
    archive.symlink("banger/busybox", "/run/initramfs/bin/busybox")
    for name in ("sshd_config", "pam", "pam_tools", "pam_env.conf"):
        archive.file(f"banger/{name}", (_GUEST / name).read_bytes())
    _add_units(archive)
    return archive.to_bytes()


def _add_units(archive: Archive) -> None:
    """Units and drop-ins for a guest with systemd."""
    for path in sorted((_GUEST / "units").rglob("*")):
        if path.is_file():
            archive.file(str(path.relative_to(_GUEST)), path.read_bytes())
    late = (_GUEST / "late-unmount.conf").read_bytes()
    for unit in _LATE_UNMOUNTS:
        archive.file(f"units/{unit}.mount.d/banger.conf", late)
    archive.symlink("units/sshd.service", "ssh.service")
    for unit in ("ssh.service", "qemu-guest-agent.service"):
        archive.symlink(f"units/sysinit.target.wants/{unit}", f"../{unit}")


def identity_part(identity: GuestIdentity) -> bytes:
    """The archive of one VM."""
    archive = Archive()
    for name, text in identity_files(identity).items():
        # sshd reads authorized_keys as the user who logs in.
        mode = 0o644 if name == "authorized_keys" else 0o600
        archive.file(f"banger/{name}", text.encode(), mode)
    return archive.to_bytes()


def identity_files(identity: GuestIdentity) -> dict[str, str]:
    """The files of /banger, by name. Values in ``identity`` are quoted: the scripts read them as
    shell variables."""
    outside, letters = identity.network.outside, identity.drives.letters()
    bases = [letter for name, letter in letters.items() if name.startswith("base")]
    seed = identity.drives.seed
    variables = {
        "hostname": identity.hostname,
        "machine_id": identity.machine_id,
        "kernel_version": identity.kernel_version,
        "agent_vsock": f"{GUEST_CID}:{VSOCK_PORT}" if identity.agent == "vsock" else "",
        "mac": identity.network.mac,
        "address": identity.network.address,
        "address6": identity.network.address6,
        "gateway": identity.network.gateway,
        "resolvers": " ".join(identity.network.resolvers),
        "tools": letters.get("tools", ""),
        "bases": " ".join(bases),
        "seed": letters.get("seed", ""),
        "seed_bytes": str(seed.stat().st_size) if seed else "",
        "outside_mac": outside.mac if outside else "",
        "outside_address": outside.address if outside else "",
        "outside_gateway": outside.gateway if outside else "",
    }
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
    return {
        "identity": "".join(lines),
        "host_key": identity.host_key,
        "authorized_keys": identity.authorized_keys,
    }


def _read_modules(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BangerError(
            Code.NOT_FOUND,
            f"the kernel's module archive {path} is missing",
            hint="pull the kernel again: banger kernel pull NAME --force",
        ) from None
