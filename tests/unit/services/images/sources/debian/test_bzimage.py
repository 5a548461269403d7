"""Boot images are put together here by the layout of the kernel's boot protocol."""

import gzip
import lzma
import struct

import pytest

from services.images.sources.debian.bzimage import payload
from shared.errors import BangerError, Code

KERNEL = b"\x7fELF" + bytes(5000)
XZ = lzma.compress(KERNEL) + struct.pack("<I", len(KERNEL))


def boot_image(
    stream: bytes, *, sectors: int = 2, before: int = 64, protocol: int = 0x020F
) -> bytes:
    """A bzImage whose payload starts ``before`` bytes into its protected-mode part."""
    setup = bytearray((sectors or 4) * 512 + 512)
    setup[0x1F1] = sectors
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, protocol)
    struct.pack_into("<II", setup, 0x248, before, len(stream))
    return bytes(setup) + bytes(before) + stream + b"what follows the payload"


def test_the_payload_is_found_without_the_length_behind_it() -> None:
    found = payload(boot_image(XZ))
    assert found.decompressor == ("xz", "-dc")
    assert lzma.decompress(found.data) == KERNEL
    assert found.size == len(KERNEL)


def test_gzip_keeps_its_last_bytes_which_are_its_own_length() -> None:
    found = payload(boot_image(gzip.compress(KERNEL)))
    assert found.decompressor == ("gzip", "-dc")
    assert gzip.decompress(found.data) == KERNEL
    assert found.size == len(KERNEL)


def test_no_setup_sectors_mean_four() -> None:
    assert lzma.decompress(payload(boot_image(XZ, sectors=0)).data) == KERNEL


@pytest.mark.parametrize(
    ("magic", "program"), [("02214c18", "lz4"), ("28b52ffd", "zstd"), ("425a68", "bzip2")]
)
def test_the_compression_is_told_by_its_magic(magic: str, program: str) -> None:
    stream = bytes.fromhex(magic) + b"compressed" + struct.pack("<I", 4711)
    found = payload(boot_image(stream))
    assert found.decompressor[0] == program
    assert found.data == stream[:-4]
    assert found.size == 4711


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (b"", Code.INVALID),
        (KERNEL, Code.INVALID),
        (boot_image(XZ)[:-500], Code.INVALID),
        (boot_image(b""), Code.INVALID),
        (boot_image(XZ, protocol=0x0207), Code.INCOMPATIBLE),
        (boot_image(b"LZOP" + XZ), Code.INCOMPATIBLE),
    ],
    ids=["empty", "not bzImage", "cut short", "no payload", "old protocol", "unknown magic"],
)
def test_what_cannot_be_taken_apart_is_refused(image: bytes, code: Code) -> None:
    with pytest.raises(BangerError) as raised:
        payload(image)
    assert raised.value.code is code
