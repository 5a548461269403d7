"""What Firecracker saves, copied to where it is kept; and why it refuses what was saved, in words.

Firecracker writes every page of the memory, zeros too. The copy has holes in their place. The files
that it writes are its own again afterwards: a Firecracker that a guest has taken over can change
nothing that was saved before.
"""

import asyncio
import os
import re
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import BangerError, Code
from shared.vm import files
from shared.vm.publish_saved import refused
from shared.vm.sparse import extents

T = TypeVar("T")
STATE_MAX = 16 << 20
"""Bytes of a device state. A machine with all devices and 32 processors has some hundred KiB."""
_WRITTEN = (files.DEVICE_STATE, files.MEMORY)
_CHUNK = 1 << 16
_ZEROS = bytes(_CHUNK)
_DAMAGED = (
    "CRC64 validation failed",
    "smaller than CRC length",
    "Magic value does not match",
    "with serialization/deserialization",
    "greater then file length",  # as Firecracker spells it
    "No memory region defined",
    "No such file or directory (os error 2)",
)
_ELSEWHERE = (
    (r"Open tap device failed", Code.CONFLICT, "its network device cannot be opened"),
    (r"VsockUnixBackend", Code.CONFLICT, "the agent's socket cannot be made"),
    (r"Block: .*", Code.NOT_FOUND, "one of its disks cannot be opened"),
    (r"Invalid data version", Code.INCOMPATIBLE, "another version of Firecracker saved it"),
    (r"restore Vcpu|restore vCPU|MSR|CPUID|Xsave|TSC", Code.INCOMPATIBLE, "the processor differs"),
)


def check_room(saving: Path, memory: int) -> None:
    """Raise ``no_space`` where a memory of so many bytes cannot be written twice."""
    disk = os.statvfs(saving)
    if disk.f_bavail * disk.f_frsize < 2 * memory:
        raise BangerError(
            Code.NO_SPACE,
            f"saving takes {2 * memory >> 20} MiB for a while, and {saving} has "
            f"{disk.f_bavail * disk.f_frsize >> 20} MiB",
            hint=f"free some space: df -h {saving}",
        )


async def undisturbed(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``. A caller that is cancelled hears of it when the work has ended:
    Firecracker goes on with a save, and a thread with a copy, and nothing may come in between."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def take_out(saving: Path, target: Path) -> None:
    """Copy what Firecracker has written to ``saving`` into the directory ``target``, and empty it,
    whatever happens. After a save that has failed there is nothing to copy.

    Raises:
        BangerError: ``no_space``, ``denied``; ``guest_failed`` for a state that is none.
    """
    try:
        state = saving / files.DEVICE_STATE
        if not state.exists() or not state.stat().st_size:
            return
        if state.stat().st_size > STATE_MAX:
            raise BangerError(Code.GUEST_FAILED, "Firecracker wrote a state without an end")
        for name in _WRITTEN:
            copy_with_holes(saving / name, target / name)
    except OSError as error:
        raise refused(target, error) from error
    finally:
        empty(saving)


def empty(saving: Path) -> None:
    """Give back the space of what was written to ``saving``; nothing happens without it."""
    for name in _WRITTEN:
        with suppress(FileNotFoundError):
            os.truncate(saving / name, 0)


def copy_with_holes(source: Path, target: Path) -> None:
    """Copy a file to ``target``, which must not be there yet; what is zero becomes a hole."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with (
        source.open("rb", buffering=0) as reading,
        open(os.open(target, flags, 0o600), "wb", buffering=0) as writing,
    ):
        size = os.fstat(reading.fileno()).st_size
        os.ftruncate(writing.fileno(), size)
        for start, end in extents(reading.fileno()):
            for place in range(start - start % _CHUNK, min(end, size), _CHUNK):
                chunk = os.pread(reading.fileno(), min(_CHUNK, size - place), place)
                if chunk != _ZEROS[: len(chunk)]:
                    os.pwrite(writing.fileno(), chunk, place)


def unsaved(fault: str, saving: Path) -> BangerError:
    """The error for a save that Firecracker has refused."""
    if "os error 28" in fault:  # ENOSPC
        return BangerError(
            Code.NO_SPACE, f"no space left in {saving}", hint=f"free some space: df -h {saving}"
        )
    return BangerError(Code.CONFLICT, f"Firecracker could not save the machine: {_last(fault)}")


def unloaded(fault: str, log: Path) -> BangerError:
    """The error for a load that Firecracker has refused; it ends itself then."""
    for pattern, code, words in _ELSEWHERE:
        if re.search(pattern, fault):
            message = f"the saved machine cannot be started: {words}: {_last(fault)}"
            return BangerError(code, message, hint=f"see {log}")
    code = Code.INVALID if any(each in fault for each in _DAMAGED) else Code.GUEST_FAILED
    how = "is damaged" if code is Code.INVALID else "was refused by Firecracker"
    return BangerError(code, f"the saved machine {how}: {_last(fault)}", hint=f"see {log}")


def _last(fault: str) -> str:
    """What Firecracker says last: before it are the names of its own layers, each with a colon."""
    layers = fault.strip().split(": ")
    return ": ".join(layers[-2:])
