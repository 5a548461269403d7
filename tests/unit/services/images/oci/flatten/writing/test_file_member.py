"""Files copied from a layer into the archive."""

import os
from pathlib import Path

import pytest

from services.images.oci.flatten.limits import FlattenLimits
from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.reading.members import Budget, members
from services.images.oci.flatten.tree.inode import FileInode
from services.images.oci.flatten.writing.archive_sink import ArchiveSink
from services.images.oci.flatten.writing.file_member import write_file
from shared.errors import BangerError
from tests.oci.layers import END, file, pax


def copied(archive: bytes, tmp_path: Path, cut: int = 0) -> bytes:
    (member,) = members(ByteStream(iter([archive])), Budget(FlattenLimits()))
    with open(tmp_path / "out", "wb") as out:
        sink = ArchiveSink(out.fileno())
        source = ByteStream(iter([archive[: cut or None]]))
        write_file(b"name", FileInode(member, 0), source, sink)
        sink.flush()
    return (tmp_path / "out").read_bytes()


def test_a_file_is_a_header_its_contents_and_padding(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    written = copied(file(b"other", content) + END, tmp_path)
    assert written[512:300_512] == content
    assert len(written) == 512 + 300_032


def test_holes_are_zeros(tmp_path: Path) -> None:
    described = pax((b"GNU.sparse.map", b"3,2,7,1"), (b"GNU.sparse.size", b"600"))
    written = copied(described + file(b"s", b"abc") + END, tmp_path)
    assert written[512:524] == b"\0\0\0ab\0\0c\0\0\0\0"
    assert len(written) == 512 + 1024


def test_a_layer_that_has_become_shorter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="ends in the middle"):
        copied(file(b"a", b"x" * 5000) + END, tmp_path, cut=2000)
