"""The initrd of one VM: the kernel's modules, our init, and a few files for this VM.

A Linux initramfs may be several newc archives one after another (Documentation/driver-api/
early-userspace/buffer-format.rst); later files win. So nothing is unpacked or repacked: three
parts are written one after another.
"""

from dataclasses import dataclass
from pathlib import Path

from services.vm_supervisor.network import GuestNetwork


@dataclass(frozen=True)
class GuestIdentity:
    """What makes a guest this guest and no other. Files of /banger in the initrd."""

    vm_id: str
    hostname: str
    machine_id: str
    """32 hex characters (machine-id(5))."""
    host_key: str
    """The guest's own ssh host key: OpenSSH private key text."""
    authorized_keys: str
    kernel_version: str
    """What uname -r says; where the modules are mounted."""
    network: GuestNetwork


def write_initrd(target: Path, kernel_modules: Path, identity: GuestIdentity) -> None:
    """Write the initrd to ``target``, atomically, mode 0600 (it holds the host key).

    ``kernel_modules`` is the kernel's initrd-modules.cpio.

    Raises:
        BangerError: ``missing_tool`` without a static busybox, ``no_space``.
    """
    raise NotImplementedError
