"""A digest of what the services bring into every guest.

The files belong to the supervisor, which puts them into initrds. They are read here, and nothing of
them is used but their content: whoever has other files makes other guests.
"""

import hashlib
from pathlib import Path

from shared.host.busybox import find_busybox

_SUPERVISOR = Path(__file__).parents[2] / "vm_supervisor"
SOURCES = (
    "drivers/kernel_arguments.py",
    "guest/adjust.py",
    "guest/channel.py",
    "launch/initrd.py",
)
"""What makes the initrd and the kernel's command line, beside the files of ``guest/rootfs``."""
ROOTFS = "guest/rootfs"


def digest_of_guest_files(supervisor: Path = _SUPERVISOR) -> str:
    """Of names and content, with busybox, which goes in too. Reads some 2 MB.

    Raises:
        BangerError: ``missing_tool`` without a static busybox.
    """
    digest = hashlib.sha256()
    rootfs = sorted(path for path in (supervisor / ROOTFS).rglob("*") if path.is_file())
    for path in (*(supervisor / name for name in SOURCES), *rootfs, find_busybox()):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:32]
