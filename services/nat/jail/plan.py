"""The specification of a jail, made from a VM's row and what nat knows. Pure.

No path comes from a message. All are composed here, from the user's directories and from ids that
are checked character by character.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Literal

from shared.contract.messages.image import MOST_LAYERS
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files, jail
from shared.vmm.info import process_name

Access = Literal["shared", "private", "write"]
"""shared: read-only, and must be readable by all users. private: read-only for the jail's group.
write: read and written by the jail's group."""

CHROOT_MIB = 64
"""Most memory of a chroot's own files: a copy of Firecracker (3 MiB) and device nodes."""
LEAST_FILE = 1024**3
"""Bytes that a file may have at least."""
_VM_ID = re.compile(r"[0-9a-f]{12}")
_CONTENT_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class JailFile:
    """A file of the user, the first of ``paths`` that exists. ``inside``: its path in the jail."""

    inside: str
    paths: tuple[str, ...]
    access: Access
    optional: bool = False


@dataclass(frozen=True)
class JailSpec:
    """Everything that the helper (enter.py) needs. ``uid``, ``gid`` and ``groups`` are those of the
    user, who owns the files. ``jail``: uid and gid of the jailed process."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    jail: int
    chroot: str
    chroot_mib: int
    files: tuple[JailFile, ...]
    sockets: str
    sockets_inside: str
    stdin: str
    stdout: str
    stderr: str
    argv: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class JailUser:
    """The user that is served, with all of the user's groups."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    paths: Paths


@dataclass(frozen=True)
class Programs:
    """The jailer, and the VMM with its links resolved, as the jailer does, and its arguments."""

    jailer: Path
    vmm: Path
    arguments: tuple[str, ...]


def check_id(vm_id: str) -> str:
    """The id, or ``invalid``."""
    if not _VM_ID.fullmatch(vm_id):
        raise BangerError(Code.INVALID, f"{vm_id[:40]!r} is not the id of a VM")
    return vm_id


def jail_uid(base: int, subnet: IPv4Network, address: IPv4Address) -> int:
    """uid and gid of a VM's jail: ``base`` plus its number in the subnet.

    A VM keeps its address until it is deleted. So no two jails share a uid, nothing has to be
    stored, and files with the gid belong to the same VM after any crash.

    Raises:
        BangerError: ``invalid`` for a base whose uids are not all in ``shared.vm.jail.SPAN``.
    """
    return jail_uids(base, subnet)[int(address) - int(subnet.network_address)]


def jail_uids(base: int, subnet: IPv4Network) -> range:
    """All uids that jails of this subnet may have; raises as ``jail_uid``.

    nat regards taps of these uids as its own, so no other user may have one of them."""
    uids = range(base, base + subnet.num_addresses)
    if uids[0] not in jail.SPAN or uids[-1] not in jail.SPAN:
        raise BangerError(
            Code.INVALID,
            f"jail_uids = {base} includes uid {uids[-1]}, which is not for jails",
            hint=f"choose a number from {jail.SPAN.start} on",
        )
    return uids


def chroot_of(base: Path, vmm: Path, vm_id: str) -> Path:
    """Where the jailer creates the chroot: docs/jailer.md of Firecracker, "chroot-base-dir"."""
    return base / vmm.name / process_name(vm_id) / "root"


def jail_spec(
    vm: Vm, uid: int, user: JailUser, base: Path, programs: Programs, bases: Sequence[str] = ()
) -> JailSpec:
    """The specification of a VM's jail; ``bases`` are the ids of the images below the VM's own.

    Raises:
        BangerError: ``invalid`` for a malformed id, and for too many of them.
    """
    run, state = user.paths.vm_run(check_id(vm.id)), user.paths.vm_state(vm.id)
    return JailSpec(
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        jail=uid,
        chroot=str(chroot_of(base, programs.vmm, vm.id)),
        chroot_mib=CHROOT_MIB,
        files=(*_files(vm, user.paths), *_base_files(bases, user.paths)),
        sockets=str(jail.sockets_of(run)),
        sockets_inside=str(jail.VM),
        stdin=str(run / files.CONSOLE_INPUT),
        stdout=str(state / files.CONSOLE_LOG),
        stderr=str(state / files.VMM_LOG),
        argv=_argv(vm, uid, base, programs),
    )


def cleaning_spec(vm_id: str, user: JailUser) -> dict[str, Any]:
    """What the helper needs to empty the directory of sockets after the jail's end."""
    sockets = jail.sockets_of(user.paths.vm_run(check_id(vm_id)))
    return {"uid": user.uid, "gid": user.gid, "groups": user.groups, "sockets": str(sockets)}


def _files(vm: Vm, paths: Paths) -> tuple[JailFile, ...]:
    image = paths.images / _content(vm.image_id)
    kernel = paths.kernels / _content(vm.kernel_id)
    run, state = paths.vm_run(vm.id), paths.vm_state(vm.id)
    return (
        JailFile(str(jail.KERNEL), (str(kernel / "vmlinux"),), "shared"),
        # A VM that is started from a saved one boots nothing.
        JailFile(str(jail.INITRD), (str(run / files.INITRD),), "private", optional=True),
        JailFile(str(jail.ROOTFS), _rootfs_of(image), "shared"),
        JailFile(str(jail.OVERLAY), (str(state / files.OVERLAY),), "write"),
        JailFile(str(jail.WORK), (str(state / files.WORK_DISK),), "write"),
        JailFile(str(jail.MODULES), (str(kernel / "modules.squashfs"),), "shared"),
        JailFile(str(jail.TOOLS), (str(kernel / "tools.squashfs"),), "shared", optional=True),
        JailFile(str(jail.SEED), (str(image / "seed.tar.zst"),), "shared", optional=True),
        *_saved_files(run, state),
        JailFile(str(jail.LOG), (str(state / files.VMM_LOG),), "write"),
        JailFile(str(jail.METRICS), (str(state / files.METRICS),), "write", optional=True),
    )


def _saved_files(run: Path, state: Path) -> Iterator[JailFile]:
    """What the VM is saved to, and what it is started from if it is. The second is under a link
    that its supervisor makes: it may belong to another VM of the user, and to several at once, so
    it is read by its mode and not by a group."""
    for name in (files.MEMORY, files.DEVICE_STATE):
        saving, saved = state / files.SAVING / name, run / files.SAVED_MACHINE / name
        yield JailFile(str(jail.SAVING / name), (str(saving),), "write", optional=True)
        yield JailFile(str(jail.SAVED / name), (str(saved),), "shared", optional=True)


def _base_files(bases: Sequence[str], paths: Paths) -> Iterator[JailFile]:
    if len(bases) >= MOST_LAYERS:
        raise BangerError(Code.INVALID, f"an image has at most {MOST_LAYERS} layers")
    for number, each in enumerate(bases):
        rootfs = _rootfs_of(paths.images / _content(each))
        yield JailFile(str(jail.base(number)), rootfs, "shared")


def _rootfs_of(image: Path) -> tuple[str, str]:
    return str(image / "rootfs.squashfs"), str(image / "rootfs.ext4")


def _content(content_id: str) -> str:
    if not _CONTENT_ID.fullmatch(content_id):
        raise BangerError(Code.INVALID, f"{content_id[:40]!r} is not the id of an image or kernel")
    return content_id


def _argv(vm: Vm, uid: int, base: Path, programs: Programs) -> tuple[str, ...]:
    """The jailer's command line. It has no cgroup options, because nat puts the helper into its
    group already (shared/host/cgroup.py).

    No file of the VM, its disks, logs and what it is saved to, grows beyond the largest that it
    needs, whoever has taken Firecracker over (RLIMIT_FSIZE)."""
    largest = max(vm.disk_bytes, vm.overlay_bytes, vm.memory_mib << 20, LEAST_FILE)
    return (
        *(str(programs.jailer), "--id", process_name(vm.id)),
        *("--exec-file", str(programs.vmm), "--uid", str(uid), "--gid", str(uid)),
        *("--chroot-base-dir", str(base)),
        *("--resource-limit", f"fsize={largest}"),
        *("--", *programs.arguments),
    )
