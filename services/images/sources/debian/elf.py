"""The shared libraries that an ELF file needs: DT_NEEDED of its dynamic section (elf(5))."""

import struct
from collections.abc import Iterator

_HEADER = struct.Struct("<16xHHIQQQIHHH")
_SEGMENT = struct.Struct("<IIQQQQ")
_ENTRY = struct.Struct("<qQ")
_ELF_64_LITTLE = b"\x7fELF\x02\x01"
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5


def needed(data: bytes) -> list[str]:
    """The names of the libraries that the file's header asks for, in its order.

    Raises:
        ValueError: for what is no ELF file of 64 bits, or is cut short.
    """
    if not data.startswith(_ELF_64_LITTLE):
        raise ValueError("not an ELF file of 64 bits")
    try:
        segments = list(_segments(data))
        dynamic = next((s for s in segments if s.kind == _PT_DYNAMIC), None)
        if dynamic is None:
            return []
        entries = list(_entries(data, dynamic.offset))
        table = next(value for tag, value in entries if tag == _DT_STRTAB)
        start = next(s.offset + table - s.address for s in segments if s.holds(table))
        return [_text(data, start + value) for tag, value in entries if tag == _DT_NEEDED]
    except (struct.error, StopIteration) as error:
        raise ValueError("an ELF file without a whole dynamic section") from error


class _Segment:
    def __init__(self, kind: int, offset: int, address: int, size: int) -> None:
        self.kind, self.offset, self.address, self._size = kind, offset, address, size

    def holds(self, address: int) -> bool:
        return self.kind == _PT_LOAD and self.address <= address < self.address + self._size


def _segments(data: bytes) -> Iterator[_Segment]:
    *_, start, _, _, _, size, count = _HEADER.unpack_from(data)
    for number in range(count):
        kind, _, offset, address, _, held = _SEGMENT.unpack_from(data, start + number * size)
        yield _Segment(kind, offset, address, held)


def _entries(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    while True:
        tag, value = _ENTRY.unpack_from(data, at)
        if tag == _DT_NULL:
            return
        yield tag, value
        at += _ENTRY.size


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode("ascii")
