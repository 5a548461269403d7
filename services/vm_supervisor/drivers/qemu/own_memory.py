"""Copies the memory of a QEMU that stands still, from outside, where it is no shared file.

Of a private mapping of a saved memory only the pages that the guest has written to are its own. The
kernel says which (Documentation/admin-guide/mm/pagemap.rst of Linux), and gives them to who may
trace the process (proc_pid_mem(5)): the same user, and with Yama's ptrace_scope of 1 an ancestor,
which a supervisor is until it is replaced. QEMU itself would read all of the mapping, holes too,
and the host would have to find memory for each of them.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.host.kernel_text import read_kernel_text
from shared.vm.sparse import copy_sparse

_PAGE = 4096
_ENTRY = 8
_AT_ONCE = 4096
"""Entries of the page map that are read at once: those of 16 MiB."""
_PRESENT, _SWAPPED, _OF_FILE = 1 << 63, 1 << 62, 1 << 61
_PIECE = 1 << 20
_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ (\d+)", re.MULTILINE)


class Unreachable(Exception):
    """The memory cannot be read from outside."""


@dataclass(frozen=True)
class Mapping:
    """Where the guest's memory is in the process. ``inode``: of the file below it; 0 without."""

    start: int
    end: int
    inode: int = 0


def find_mapping(maps: str, size: int) -> Mapping:
    """The private mapping of ``size`` bytes in the text of /proc/<pid>/maps.

    Raises:
        Unreachable: there is none, or more than one.
    """
    found = []
    for match in _MAPPING.finditer(maps):
        start, end = int(match[1], 16), int(match[2], 16)
        if end - start == size:
            found.append(Mapping(start, end, int(match[3])))
    if len(found) != 1:
        raise Unreachable
    return found[0]


def locate(pid: int, size: int) -> Mapping:
    """The guest's memory of ``size`` bytes in the QEMU ``pid``, which this process may read.

    Raises:
        Unreachable: it may not, or the memory is not one private mapping.
    """
    try:
        mapping = find_mapping(read_kernel_text(f"/proc/{pid}/maps"), size)
        with Path(f"/proc/{pid}/mem").open("rb"):
            pass
        if mapping.inode:
            _file_of(pid, mapping)
    except OSError as error:
        raise Unreachable from error
    return mapping


def copy_memory(pid: int, mapping: Mapping, target: Path) -> None:
    """Write the memory to ``target``: what the file below has, and over it the pages of its own.

    Raises:
        OSError: as read(2) and write(2).
        Unreachable: the process has ended.
    """
    if mapping.inode:
        copy_sparse(_file_of(pid, mapping), target)
    else:
        target.touch(0o600)
        os.truncate(target, 0)
    with (
        Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory,
        target.open("r+b", buffering=0) as copy,
    ):
        os.truncate(copy.fileno(), mapping.end - mapping.start)
        for start, end in own_pages(pid, mapping):
            for place in range(start, end, _PIECE):
                count = min(_PIECE, end - place)
                data = _read(memory.fileno(), count, mapping.start + place)
                if mapping.inode or data.count(0) != len(data):
                    os.pwrite(copy.fileno(), data, place)


def own_pages(pid: int, mapping: Mapping) -> Iterator[tuple[int, int]]:
    """(start, end) of each run of pages that belong to the process alone, in bytes from the
    mapping's start."""
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        first, last = mapping.start // _PAGE, mapping.end // _PAGE
        for page in range(first, last, _AT_ONCE):
            count = min(_AT_ONCE, last - page)
            entries = _read(pagemap.fileno(), count * _ENTRY, page * _ENTRY)
            for start, end in owned_runs(entries):
                yield (page - first + start) * _PAGE, (page - first + end) * _PAGE


def owned_runs(entries: bytes) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of each run of entries of a page map that are no pages of a file. Pure."""
    if entries.count(0) == len(entries):  # most of a guest's memory was never used
        return
    begun = -1
    numbers = memoryview(entries).cast("Q")
    for number, entry in enumerate(numbers):
        if entry & (_PRESENT | _SWAPPED) and not entry & _OF_FILE:
            if begun < 0:
                begun = number
        elif begun >= 0:
            yield begun, number
            begun = -1
    if begun >= 0:
        yield begun, len(numbers)


def _read(fd: int, count: int, place: int) -> bytes:
    """All of it: the files of a process that has ended are empty."""
    data = os.pread(fd, count, place)
    if len(data) != count:
        raise Unreachable
    return data


def _file_of(pid: int, mapping: Mapping) -> Path:
    """The file below the mapping, which may have no name any more: by a descriptor of QEMU's."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            status = entry.stat()
        except FileNotFoundError:
            continue  # closed this moment, or no file
        if status.st_ino == mapping.inode and stat.S_ISREG(status.st_mode):
            return entry
    raise Unreachable
