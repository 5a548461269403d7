"""The second pass: what is written, in which order. Python's tarfile reads it."""

import tarfile
from pathlib import Path

from services.images.oci.flatten.emission import Emission
from services.images.oci.flatten.indexing import Indexing
from services.images.oci.flatten.limits import FlattenLimits
from services.images.oci.flatten.writing.archive_sink import ArchiveSink
from tests.oci.layers import directory, file, hard_link, pax, stored, symlink, whiteout


def emitted(tmp_path: Path, layers: list[list[bytes]]) -> tuple[list[str], dict[str, bytes]]:
    """The names in the order of the archive, and the contents of the files."""
    blobs = stored(tmp_path / "blobs", layers, "gzip")
    indexing = Indexing(blobs, FlattenLimits(), lambda *_: None)
    for blob in blobs:
        indexing.read(blob)
    emission = Emission(indexing.tree)
    with open(tmp_path / "archive", "wb") as out:
        sink = ArchiveSink(out.fileno())
        emission.write_names(sink)
        emission.write_contents(blobs, sink, lambda *_: None)
    with tarfile.open(tmp_path / "archive") as archive:
        contents = {}
        for info in archive:
            if opened := archive.extractfile(info):
                contents[info.name] = opened.read()
        return archive.getnames(), contents


def test_directories_then_empty_ones_then_contents_then_links(tmp_path: Path) -> None:
    names, contents = emitted(
        tmp_path,
        [
            [file(b"z", b"first in the layer"), file(b"d/e/a", b"x"), symlink(b"s", b"z")],
            [hard_link(b"d/b", b"z"), file(b"c", b"upper"), file(b"empty")],
        ],
    )
    assert names.index("d") < names.index("d/e") < names.index("d/e/a")
    order = [name for name in names if name in ("s", "empty", "z", "d/e/a", "c", "d/b")]
    assert set(order[:2]) == {"s", "empty"}
    assert order[2:] == ["z", "d/e/a", "c", "d/b"]
    assert contents["d/b"] == contents["z"] == b"first in the layer"


def test_contents_that_upper_layers_have_replaced_are_skipped(tmp_path: Path) -> None:
    names, contents = emitted(
        tmp_path,
        [
            [file(b"a", b"1" * 5000), file(b"b", b"2" * 5000), file(b"c", b"3" * 5000)],
            [whiteout(b"a"), file(b"b", b"new")],
        ],
    )
    assert contents == {"b": b"new", "c": b"3" * 5000}
    assert "a" not in names


def test_a_file_whose_first_name_is_gone_is_written_under_another(tmp_path: Path) -> None:
    _, contents = emitted(
        tmp_path, [[file(b"a", b"kept"), hard_link(b"b", b"a")], [whiteout(b"a")]]
    )
    assert contents == {"b": b"kept"}


def test_holes_are_written_out(tmp_path: Path) -> None:
    described = pax((b"GNU.sparse.map", b"3,2,7,1"), (b"GNU.sparse.size", b"10"))
    _, contents = emitted(tmp_path, [[directory(b"d"), described + file(b"d/s", b"abc")]])
    assert contents["d/s"] == b"\0\0\0ab\0\0c\0\0"
