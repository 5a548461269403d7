"""Root filesystems in files, made with the system's own tools."""

import io
import struct
import subprocess
import tarfile
from pathlib import Path


def tar_of(path: Path, names: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def squashfs(path: Path) -> Path:
    tree = path.with_name("tree")
    (tree / "etc").mkdir(parents=True, exist_ok=True)
    (tree / "etc" / "hostname").write_text("mine\n")
    quiet = ("-noappend", "-quiet", "-no-progress")
    subprocess.run(["mksquashfs", tree, path, *quiet], check=True, stdout=subprocess.DEVNULL)
    return path


def ext4(path: Path, mib: int = 8) -> Path:
    subprocess.run(["mke2fs", "-q", "-t", "ext4", path, f"{mib}M"], check=True)
    return path


def qcow2(path: Path, raw: Path, *options: str) -> Path:
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, raw, path], check=True
    )
    return path


def with_mbr(path: Path, content: bytes, at: int = 2048) -> Path:
    """A disk whose second partition begins at sector ``at``."""
    entry = struct.pack("<B3sB3sII", 0, b"", 0x83, b"", at, len(content) // 512)
    mbr = bytearray(512)
    mbr[446 : 446 + 16] = struct.pack("<B3sB3sII", 0, b"", 0x82, b"", 34, 8)
    mbr[462 : 462 + 16] = entry
    mbr[510:] = b"\x55\xaa"
    path.write_bytes(bytes(mbr).ljust(at * 512, b"\0") + content + bytes(512))
    return path


def with_gpt(path: Path, content: bytes, at: int = 2048) -> Path:
    mbr = bytearray(512)
    mbr[446 : 446 + 16] = struct.pack("<B3sB3sII", 0, b"", 0xEE, b"", 1, 0xFFFFFFFF)
    mbr[510:] = b"\x55\xaa"
    header = struct.pack(
        "<8sIIIIQQQQ16sQIII", b"EFI PART", 1 << 16, 92, 0, 0, 1, 0, 34, 0, b"", 2, 128, 128, 0
    )
    last = at + len(content) // 512 - 1
    entry = struct.pack("<16s16sQQQ72s", b"type", b"unique", at, last, 0, b"")
    start = bytes(mbr) + header.ljust(512, b"\0") + entry
    path.write_bytes(start.ljust(at * 512, b"\0") + content + bytes(34 * 512))
    return path
