"""Finds the compressed kernel inside a bzImage (``vmlinuz``) of x86. Pure.

Format: the kernel's Documentation/arch/x86/boot.rst, boot protocol 2.08 and later. Firecracker
boots only the uncompressed ELF file, so it is extracted once, when the kernel is pulled.
"""

import struct
from dataclasses import dataclass

from shared.errors import BangerError, Code

ELF_MAGIC = b"\x7fELF"

_SETUP_SECTORS = 0x1F1
_HEADER = 0x202
_HEADER_MAGIC = b"HdrS"
_PROTOCOL = 0x206
_PAYLOAD = 0x248  # payload_offset, then payload_length
_FIRST_WITH_PAYLOAD = 0x0208
_SECTOR = 512
_LENGTH_SUFFIX = 4

_DECOMPRESSORS: dict[bytes, tuple[str, ...]] = {
    b"\x1f\x8b": ("gzip", "-dc"),
    b"\xfd7zXZ\x00": ("xz", "-dc"),
    b"\x28\xb5\x2f\xfd": ("zstd", "-dc"),
    b"\x02\x21\x4c\x18": ("lz4", "-dc"),  # the "legacy" frame
    b"BZh": ("bzip2", "-dc"),
}


@dataclass(frozen=True)
class Payload:
    """``decompressor`` is an argv that turns ``data`` on stdin into ``size`` bytes of ELF."""

    decompressor: tuple[str, ...]
    data: bytes
    size: int


def payload(image: bytes) -> Payload:
    """The compressed kernel in ``image``, the whole content of a bzImage.

    The kernel's build appends the uncompressed length in 4 bytes to every payload. A gzip stream
    ends with it anyway; for the other decompressors it would be garbage.

    Raises:
        BangerError: ``invalid`` when it is no bzImage, ``incompatible`` for a boot protocol
            before 2.08 or an unknown compression.
    """
    if image[_HEADER : _HEADER + 4] != _HEADER_MAGIC or len(image) < _PAYLOAD + 8:
        raise BangerError(Code.INVALID, "not an x86 kernel image (no boot protocol header)")
    (protocol,) = struct.unpack_from("<H", image, _PROTOCOL)
    if protocol < _FIRST_WITH_PAYLOAD:
        raise BangerError(
            Code.INCOMPATIBLE,
            f"the kernel has boot protocol {protocol >> 8}.{protocol & 0xFF:02}, 2.08 is needed",
            hint="use a kernel of Linux 2.6.26 or later",
        )
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    start = ((image[_SETUP_SECTORS] or 4) + 1) * _SECTOR + offset
    data = image[start : start + length]
    if len(data) < length or length <= _LENGTH_SUFFIX:
        raise BangerError(Code.INVALID, "the kernel image is incomplete")
    return _recognized(data)


def _recognized(data: bytes) -> Payload:
    (size,) = struct.unpack("<I", data[-_LENGTH_SUFFIX:])
    for magic, decompressor in _DECOMPRESSORS.items():
        if data.startswith(magic):
            stream = data if decompressor[0] == "gzip" else data[:-_LENGTH_SUFFIX]
            return Payload(decompressor, stream, size)
    raise BangerError(
        Code.INCOMPATIBLE,
        f"the compression of the kernel is unknown (it begins with {data[:4].hex()})",
        hint="gzip, xz, zstd, lz4 and bzip2 are supported",
    )
