"""The pipe that the archive goes into."""

import os
from pathlib import Path

from services.images.oci.flatten.writing.archive_sink import ArchiveSink


def test_small_and_large_pieces_come_in_order(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out:
        sink = ArchiveSink(out.fileno())
        sink.write(b"a")
        sink.write(memoryview(b"b" * 300_000))
        sink.write(b"c")
        sink.zeros(600_000)
        sink.pad(513)
        sink.finish()
    expected = b"a" + b"b" * 300_000 + b"c" + bytes(600_000 + 511 + 1024)
    assert (tmp_path / "out").read_bytes() == expected
    assert sink.written == len(expected)


def test_a_pipe_that_takes_little_gets_all_in_the_end() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    sink = ArchiveSink(writer)
    sink.write(b"x" * 1000)
    sink.flush()
    assert os.read(reader, 5000) == b"x" * 1000
    os.close(reader)
    os.close(writer)
