"""Blobs as chunks; what is damaged is refused in test_hostile.py."""

import gzip
import os
import threading
from pathlib import Path

import pytest

from services.images.oci.flatten.reading.decompression import CHUNK, uncompressed
from tests.oci.layers import compressed

PLAIN = b"".join(b"%d of many\n" % number for number in range(200_000))


@pytest.mark.parametrize(
    "blob",
    [
        PLAIN,
        gzip.compress(PLAIN, 1),
        gzip.compress(PLAIN[:1000]) + gzip.compress(b"") + gzip.compress(PLAIN[1000:], 1),
        gzip.compress(PLAIN, 1) + bytes(1000),
        compressed(PLAIN, "zstd"),
        compressed(PLAIN[:1000], "zstd") + compressed(PLAIN[1000:], "zstd"),
        b"\x5a\x2a\x4d\x18\x04\0\0\0skip" + compressed(PLAIN, "zstd"),
    ],
    ids=["plain", "gzip", "gzip-members", "gzip-padded", "zstd", "zstd-frames", "zstd-skippable"],
)
def test_all_of_a_blob_is_read(blob: bytes, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(blob)
    seen: list[int] = []
    with uncompressed(path, seen.append) as chunks:
        found = list(chunks)
    assert b"".join(found) == PLAIN
    assert max(map(len, found)) <= CHUNK
    assert sum(seen) == len(blob)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_nothing_goes_on_for_a_reader_that_has_stopped(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    content = os.urandom(8 << 20)
    path.write_bytes(compressed(content, "gzip" if compression == "gzip" else "zstd"))
    threads = threading.active_count()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with uncompressed(path) as chunks:
        assert next(chunks)
    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
