"""A jailed VMM as both sides see it: whose uid it has, and where its files are inside.

``nat`` puts the jail together and starts the jailer; the supervisor tells the VMM the paths of this
page. docs/firecracker.md has the picture.
"""

from pathlib import Path

from shared.host.process import ProcessId, start_time
from shared.vm import files

SPAN = range(2_000_000_000, 2_147_483_647)
"""The uids of jails. They are above all that systemd and useradd assign (user namespaces end at
1 879 048 191, systemd.io/UIDS-GIDS), and below 2^31, the limit of old file systems and tools."""

VM = Path("/") / files.SOCKETS_LINK
"""Bound to ``jail`` in the VM's run directory, for sockets. Not /run, which the jailer uses."""
API = VM / files.API_SOCKET
BOOT = Path("/boot")
KERNEL = BOOT / "vmlinux"
INITRD = BOOT / files.INITRD
DISKS = Path("/") / files.DRIVES
ROOTFS, OVERLAY, WORK, MODULES = (DISKS / n for n in ("rootfs", "overlay", "work", "modules"))
TOOLS, SEED = DISKS / "tools", DISKS / "seed"
LOGS = Path("/logs")
LOG = LOGS / files.VMM_LOG
METRICS = LOGS / files.METRICS
SAVING = Path("/") / files.SAVE_LINK
"""Two files of the VM's own that it is saved to."""
SAVED = Path("/") / files.SAVED_MACHINE
"""The two files that it is started from, if it is."""


def base(number: int) -> Path:
    """The file of an image below the VM's own; the topmost has the number 0."""
    return DISKS / f"base{number}"


def sockets_of(vm_run: Path) -> Path:
    """The directory on the host that the jail has as ``/vm``."""
    return vm_run / files.JAIL


def is_jailed(process: ProcessId) -> bool:
    """Whether a process runs as one of the jails' uids; False for one that is gone."""
    try:
        uid = Path(f"/proc/{process.pid}").stat().st_uid
    except FileNotFoundError:
        return False
    return uid in SPAN and start_time(process.pid) == process.start_time
