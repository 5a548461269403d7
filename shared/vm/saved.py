"""A saved machine: a directory with the state of a VM at one instant (docs/snapshots.md).

    saved.json     ``SavedMachine``: what it needs to be started again, and checksums of the files
    memory         the guest's memory (form "file"), or a stream of the VMM's own (form "stream")
    device_state   processors and devices (form "file")
    overlay.ext4, work.ext4

A snapshot of disks only has no memory. A suspended VM has no disks here: they stay where they are.
The directory is published by a rename (publish_saved.py), so a directory that exists is complete.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from shared.errors import BangerError, Code
from shared.vm import files
from shared.vm.sparse import content_sum

VERSION = 1
MemoryForm = Literal["file", "stream"]
"""file: an image of the memory, which several copies can map. stream: only its VMM can read it."""
CopyMethod = Literal["reflink", "sparse"]
"""How disks were copied: reflinks share their blocks with the source (ioctl_ficlone(2))."""
_MEMORY_FILES = (files.MEMORY, files.DEVICE_STATE)
_CLOCK_TOLERANCE = 1000
"""Two measurements of the same clock differ by less than one part in this."""


class SavedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A block device, in the order in which the guest numbers them."""

    name: str
    bytes: int
    read_only: bool


class MachineFacts(msgspec.Struct, kw_only=True):
    """What must be the same where a saved machine is started, except the content of its disks."""

    vmm: str
    vmm_version: str
    """``DriverInfo.version``."""
    accel: str
    cpu: str
    """``DriverInfo.cpu``."""
    tsc_khz: int | None = None
    """The rate of the clock that an emulated guest counts by, which is the host's."""
    vcpus: int
    memory_mib: int
    network: str
    devices: list[SavedDevice]
    image_id: str
    image_digest: str
    kernel_id: str


class SavedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file's size in bytes, and its checksum as of ``sum_of``; "" for a disk, which has none."""

    size: int
    sum: str = ""


class SavedMachine(MachineFacts, kw_only=True):
    """``saved.json``."""

    version: int = VERSION
    vm_id: str
    """Of the VM that was saved."""
    vm_name: str
    memory: MemoryForm | None
    """None for disks alone."""
    files: dict[str, SavedFile]
    created: str
    """RFC 3339, in UTC."""
    pause_seconds: float = 0.0
    """Seconds for which the guest was paused to be saved."""
    copied: CopyMethod | Literal[""] = ""
    """Empty without disks."""


def read_saved(directory: Path, *, check: bool = True, memory: bool = True) -> SavedMachine:
    """Read the description of the saved machine in ``directory``, and check its files.

    ``check``: compare the checksums of memory and device state, which takes a second per GiB of
    memory in use. Sizes are always compared. ``memory``: False for its disks only; damage to the
    other files is ignored then.

    Raises:
        BangerError: ``not_found``; ``invalid`` when it is damaged; ``incompatible`` when it is of
            another version of banger.
    """
    saved = _decode(directory) if memory else disks_alone(_decode(directory))
    for name, expected in saved.files.items():
        path = directory / name
        size = path.stat().st_size if path.exists() else None
        if size is None:
            raise _damaged(directory, f"its file {name} is missing")
        if size != expected.size:
            raise _damaged(directory, f"{name} has {size} bytes instead of {expected.size}")
        if check and expected.sum and sum_of(path) != expected.sum:
            raise _damaged(directory, f"the content of {name} has changed")
    return saved


def disks_alone(saved: SavedMachine) -> SavedMachine:
    """The same machine without its memory, which any VMM and processor can start. Pure."""
    return replace(
        saved,
        memory=None,
        files={name: each for name, each in saved.files.items() if name not in _MEMORY_FILES},
        vmm="",
        vmm_version="",
        accel="",
        cpu="",
        tsc_khz=None,
        devices=[device for device in saved.devices if not device.read_only],
    )


def sum_of(path: Path) -> str:
    """The checksum of memory or device state, with its kind: "crc32:…" of the memory, which has
    gigabytes and is damaged only by accident, "sha256:…" of the device state."""
    if path.name == files.MEMORY:
        return f"crc32:{content_sum(path):08x}"
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def describe_files(directory: Path) -> dict[str, SavedFile]:
    """``SavedMachine.files`` of the files that are in ``directory``; reads the memory."""
    paths = [directory / name for name in (*_MEMORY_FILES, files.OVERLAY, files.WORK_DISK)]
    return {
        path.name: SavedFile(
            size=path.stat().st_size, sum=sum_of(path) if path.name in _MEMORY_FILES else ""
        )
        for path in paths
        if path.exists()
    }


def memory_form(directory: Path) -> MemoryForm | None:
    """The form of the memory in a directory that a driver has saved to; None without memory."""
    if not (directory / files.MEMORY).exists():
        return None
    return "file" if (directory / files.DEVICE_STATE).exists() else "stream"


def differences(saved: MachineFacts, wanted: MachineFacts) -> list[str]:
    """Why ``saved`` cannot be started on a host where a start would make ``wanted``. Pure.

    Each is a clause that follows "it cannot be started because"; empty when it can be started.
    """
    return list(_differences(saved, wanted))


def _differences(saved: MachineFacts, wanted: MachineFacts) -> Iterator[str]:
    if saved.vmm != wanted.vmm:
        yield f"it was saved by {saved.vmm}, and {wanted.vmm} would run it"
        return  # the rest means nothing to another VMM
    if saved.vmm_version != wanted.vmm_version:
        yield f"it was saved by {saved.vmm} {saved.vmm_version}, and {wanted.vmm_version} is here"
    if saved.accel != wanted.accel:
        yield f"it ran with {saved.accel}, and would run with {wanted.accel}"
    elif saved.cpu != wanted.cpu:
        yield f"its processor was {saved.cpu}, and would be {wanted.cpu}"
    elif not _same_clock(saved.tsc_khz, wanted.tsc_khz):
        yield f"its clock ran at {saved.tsc_khz} kHz, and would run at {wanted.tsc_khz} kHz"
    if saved.vcpus != wanted.vcpus:
        yield f"it had {saved.vcpus} vCPU, and would have {wanted.vcpus}"
    if saved.memory_mib != wanted.memory_mib:
        yield f"it had {saved.memory_mib} MiB of memory, and would have {wanted.memory_mib} MiB"
    if saved.network != wanted.network:
        yield f"its network was {saved.network}, and would be {wanted.network}"
    if saved.image_digest != wanted.image_digest:
        yield f"its image was {saved.image_id}, and would be {wanted.image_id}"
    if saved.kernel_id != wanted.kernel_id:
        yield f"its kernel was {saved.kernel_id}, and would be {wanted.kernel_id}"
    if saved.devices != wanted.devices:
        yield f"its disks were {_listed(saved)}, and would be {_listed(wanted)}"


def _same_clock(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one == other
    return abs(one - other) * _CLOCK_TOLERANCE <= one


def _listed(facts: MachineFacts) -> str:
    return ", ".join(f"{device.name} of {device.bytes} bytes" for device in facts.devices)


def _decode(directory: Path) -> SavedMachine:
    path = directory / files.SAVED
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BangerError(
            Code.NOT_FOUND, f"{directory} holds no saved machine: {path.name} is missing"
        ) from None
    try:
        version = msgspec.json.decode(content, type=_Versioned).version
        if version != VERSION:
            raise BangerError(
                Code.INCOMPATIBLE,
                f"the saved machine in {directory} has format {version}, not {VERSION}",
                hint="it was made by another version of banger: use that one",
            )
        return msgspec.json.decode(content, type=SavedMachine)
    except msgspec.DecodeError as error:
        raise _damaged(directory, f"{path.name}: {error}") from error


class _Versioned(msgspec.Struct):
    version: int


def _damaged(directory: Path, what: str) -> BangerError:
    return BangerError(
        Code.INVALID,
        f"the saved machine in {directory} is damaged: {what}",
        hint="delete it, or put the file back from a backup",
    )
