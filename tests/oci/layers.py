"""Layers of images, made octet by octet: good ones, and ones that no program would write."""

import gzip
import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Compression = Literal["", "gzip", "zstd"]
END = bytes(1024)


@dataclass(frozen=True)
class StoredLayer:
    """A blob and the sum of its archive, as an image's configuration has it."""

    path: Path
    diff_id: str


def header(
    name: bytes,
    kind: bytes = b"0",
    *,
    size: int = 0,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 1_000_000_000,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
    fields: dict[int, bytes] | None = None,
) -> bytes:
    """A block with a right checksum. ``fields`` are octets to put at offsets before the sum."""
    block = bytearray(512)
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, mtime)
    block[0:100] = name[:100].ljust(100, b"\0")
    block[100:148] = numbers
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157:257] = link[:100].ljust(100, b"\0")
    block[257:265] = magic
    block[329:345] = b"%07o\0%07o\0" % device
    block[345:500] = prefix.ljust(155, b"\0")
    for at, octets in (fields or {}).items():
        block[at : at + len(octets)] = octets
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """An extended header of well-made records."""
    content = b"".join(record(key, value) for key, value in records)
    return header(b"pax", kind, size=len(content)) + padded(content)


def record(key: bytes, value: bytes) -> bytes:
    length = rest = len(key) + len(value) + 3
    while length != rest + len(b"%d" % length):
        length = rest + len(b"%d" % length)
    return b"%d %s=%s\n" % (length, key, value)


def file(name: bytes, content: bytes = b"", **fields: int) -> bytes:
    return header(name, size=len(content), **fields) + padded(content)  # type: ignore[arg-type]


def directory(name: bytes, mode: int = 0o755, **fields: int) -> bytes:
    return header(name, b"5", mode=mode, **fields)  # type: ignore[arg-type]


def symlink(name: bytes, target: bytes) -> bytes:
    return header(name, b"2", link=target, mode=0o777)


def hard_link(name: bytes, target: bytes) -> bytes:
    return header(name, b"1", link=target)


def whiteout(name: bytes) -> bytes:
    """``name`` is that of what it hides."""
    above, slash, last = name.rpartition(b"/")
    return file(above + slash + b".wh." + last)


def opaque(name: bytes) -> bytes:
    return file(name + b"/.wh..wh..opq" if name else b".wh..wh..opq")


def xattrs(*pairs: tuple[bytes, bytes]) -> bytes:
    """For the member that follows."""
    return pax(*((b"SCHILY.xattr." + name, value) for name, value in pairs))


def compressed(archive: bytes, compression: Compression) -> bytes:
    if compression == "gzip":
        return gzip.compress(archive, 1, mtime=0)
    if compression == "zstd":
        argv = ["zstd", "-qc", "-1"]
        return subprocess.run(argv, input=archive, stdout=subprocess.PIPE, check=True).stdout
    return archive


def store(directory: Path, blob: bytes, archive: bytes = b"") -> StoredLayer:
    """A blob as a file. ``archive`` is what it unpacks to, unless it is that itself."""
    path = directory / hashlib.sha256(blob).hexdigest()
    path.write_bytes(blob)
    return StoredLayer(path, f"sha256:{hashlib.sha256(archive or blob).hexdigest()}")


def stored(
    directory: Path, layers: Sequence[Iterable[bytes]], compression: Compression = ""
) -> list[StoredLayer]:
    """Layers of members as files in ``directory``, the lowest first."""
    directory.mkdir(exist_ok=True)
    archives = [b"".join(members) + END for members in layers]
    return [store(directory, compressed(each, compression), each) for each in archives]
