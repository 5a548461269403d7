"""The memory of another process, read from outside: a real one that maps what a QEMU would."""

import contextlib
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.qemu.own_memory import (
    Mapping,
    Unreachable,
    copy_memory,
    find_mapping,
    locate,
    own_pages,
    owned_runs,
)

PAGE = 4096
SIZE = 37 << 20
"""Of no other mapping of a Python process."""
WRITTEN = (0, 5, 6, 7, 4099, SIZE // PAGE - 1)
"""Pages that the process writes to; 4096 of them are looked at together."""
_SCRIPT = """
import mmap, sys
name, size, pages = sys.argv[1], int(sys.argv[2]), map(int, sys.argv[3].split(","))
file = open(name, "r+b") if name else None
memory = mmap.mmap(file.fileno() if file else -1, size, flags=mmap.MAP_PRIVATE)
memory.madvise(mmap.MADV_DONTFORK)  # as QEMU: the kernel does not join it with its neighbours
seen = sum(memory[place] for place in range(0, size, 65536))
for page in pages:
    memory[page * 4096 : page * 4096 + 4] = b"mine"
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def mapping_process(name: str) -> Iterator[int]:
    """A process that maps ``name`` privately, or nothing with "", and has written to its memory."""
    pages = ",".join(map(str, WRITTEN))
    argv = [sys.executable, "-c", _SCRIPT, name, str(SIZE), pages]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.stdin.close()


def base_in(root: Path) -> Path:
    """A sparse memory with something on a page that is written to and on one that is not."""
    path = root / "base"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for page in (5, 3000):
            file.seek(page * PAGE)
            file.write(b"base and more")
    return path


def expected(base: bytes) -> bytes:
    memory = bytearray(base)
    for page in WRITTEN:
        memory[page * PAGE : page * PAGE + 4] = b"mine"
    return bytes(memory)


@pytest.mark.parametrize("named", [True, False])
def test_own_pages_lie_over_those_of_the_file_below(tmp_path: Path, named: bool) -> None:
    base, target = base_in(tmp_path), tmp_path / "target"
    content = base.read_bytes()
    with mapping_process(str(base)) as pid:
        if not named:
            base.unlink()  # as the memory of a VM that was resumed
        mapping = locate(pid, SIZE)
        copy_memory(pid, mapping, target)
        assert len(list(own_pages(pid, mapping))) <= len(WRITTEN)
    assert target.read_bytes() == expected(content)
    if named:
        assert base.read_bytes() == content
    assert target.stat().st_blocks * 512 < 1 << 20, "holes stay holes"


def test_memory_without_a_file_is_what_is_not_zero(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"left by a save that failed")
    with mapping_process("") as pid:
        copy_memory(pid, locate(pid, SIZE), target)
    assert target.read_bytes() == expected(bytes(SIZE))


def test_process_that_is_gone_or_maps_nothing_like_it_is_unreachable() -> None:
    with mapping_process("") as pid, pytest.raises(Unreachable):
        locate(pid, SIZE + PAGE)
    with pytest.raises(Unreachable):
        locate(pid, SIZE)


@pytest.mark.parametrize("named", [True, False])
def test_process_that_ends_meanwhile_is_not_taken_for_one_without_pages(
    tmp_path: Path, named: bool
) -> None:
    with mapping_process(str(base_in(tmp_path)) if named else "") as pid:
        mapping = locate(pid, SIZE)
    with pytest.raises((Unreachable, OSError)):
        copy_memory(pid, mapping, tmp_path / "target")


MAPS = """\
1000-3000 rw-p 00000000 00:00 0
5000-7000 r--p 00000000 fe:00 12 /usr/lib/x
9000-b000 rw-s 00000000 00:01 99 /memfd:x (deleted)
d000-1d000 rw-p 00000000 fe:00 4711 /state/memory (deleted)
"""


def test_mapping_is_found_by_its_size_if_it_is_private_and_written_to() -> None:
    assert find_mapping(MAPS, 0x10000) == Mapping(0xD000, 0x1D000, 4711)
    assert find_mapping(MAPS, 0x2000) == Mapping(0x1000, 0x3000)


@pytest.mark.parametrize("maps", ["", MAPS + MAPS])
def test_mapping_that_is_not_there_once_is_not_guessed(maps: str) -> None:
    with pytest.raises(Unreachable):
        find_mapping(maps, 0x2000)


PRESENT, SWAPPED, OF_FILE = 1 << 63, 1 << 62, 1 << 61


@pytest.mark.parametrize(
    ("entries", "runs"),
    [
        ([0, 0, 0], []),
        ([PRESENT, PRESENT, 0], [(0, 2)]),
        ([PRESENT | OF_FILE, PRESENT, SWAPPED, PRESENT | OF_FILE], [(1, 3)]),
        ([SWAPPED, 0, PRESENT], [(0, 1), (2, 3)]),
        ([OF_FILE, 1 << 55, 0], []),
    ],
)
def test_pages_of_a_file_are_not_its_own(entries: list[int], runs: list[tuple[int, int]]) -> None:
    assert list(owned_runs(struct.pack(f"{len(entries)}Q", *entries))) == runs
