"""Logs that another process appends to: bounded on the disk, whole to their readers."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.host.files import sync
from shared.log_limit import SLACK, LogLimit, free_beginning, keep_end, seek_data

KEPT = 1 << 20
LINE = b"%015d\n"


@pytest.fixture
def log() -> Iterator[Path]:
    """A file on a disk, whatever pytest's directories are on."""
    with tempfile.TemporaryDirectory(prefix="bgr", dir="/var/tmp") as directory:
        yield Path(directory) / "log"


def lines(first: int, number: int) -> bytes:
    return b"".join(LINE % count for count in range(first, first + number))


def taken(path: Path) -> int:
    sync(path)  # blocks are allocated when they are written
    return path.stat().st_blocks * 512


def test_beginning_of_a_long_file_is_freed_and_its_writer_goes_on(log: Path) -> None:
    number = (KEPT + 3 * SLACK) // 16
    with log.open("ab", buffering=0) as writer:
        writer.write(lines(0, number))
        size = log.stat().st_size
        assert taken(log) > KEPT + SLACK
        assert free_beginning(log, KEPT)
        assert log.stat().st_size == size
        assert taken(log) < KEPT + SLACK
        writer.write(LINE % number)
    with log.open("rb") as reader:
        start = seek_data(reader.fileno(), 0)
        assert size - KEPT - 8192 < start <= size - KEPT
        reader.seek(start)
        assert reader.read() == lines(start // 16, number + 1 - start // 16)


def test_short_file_is_left_alone(log: Path) -> None:
    log.write_bytes(lines(0, 1000))
    assert not free_beginning(log, KEPT)
    assert log.read_bytes() == lines(0, 1000)


def test_flood_never_takes_more_than_the_limit_after_a_look(log: Path) -> None:
    limit = LogLimit(KEPT)
    argv = ["head", "-c", "64M", "/dev/zero"]
    with log.open("ab") as written, subprocess.Popen(argv, stdout=written) as flood:
        while flood.poll() is None:
            assert limit.apply([log]) == []
    taken(log)
    limit.apply([log])
    assert log.stat().st_size == 64 << 20
    assert taken(log) <= KEPT + SLACK


def test_file_that_is_not_there_is_no_problem(log: Path) -> None:
    assert LogLimit().apply([log]) == []


def test_link_is_not_followed(log: Path) -> None:
    target = log.with_name("target")
    target.write_bytes(lines(0, (KEPT + 2 * SLACK) // 16))
    before = taken(target)
    log.symlink_to(target)
    assert not free_beginning(log, KEPT)
    assert taken(target) == before


def test_file_that_cannot_be_freed_is_told_once_and_hides_no_other(log: Path) -> None:
    bad, log = log, log.with_name("other")
    bad.touch()
    bad /= "below a file"
    log.write_bytes(lines(0, (KEPT + 2 * SLACK) // 16))
    taken(log)
    limit = LogLimit(KEPT)
    (problem,) = limit.apply([bad, log])
    assert problem == f"{bad} grows without a limit: Not a directory"
    assert limit.apply([bad, log]) == []
    assert taken(log) <= KEPT + SLACK


def test_data_of_an_empty_file_is_at_its_end(log: Path) -> None:
    log.touch()
    with log.open("rb") as reader:
        assert seek_data(reader.fileno(), 0) == 0


def test_a_file_that_nobody_has_open_is_cut_to_its_end(log: Path) -> None:
    keep_end(log, KEPT)
    assert not log.exists()
    log.write_bytes(lines(0, 10))
    keep_end(log, KEPT)
    assert log.read_bytes() == lines(0, 10)
    with log.open("ab") as file:
        file.truncate(8 * KEPT)  # freed long ago
        file.write(lines(0, KEPT // 16))
    keep_end(log, KEPT)
    assert log.read_bytes() == lines(0, KEPT // 16)
    assert [path.name for path in log.parent.iterdir()] == ["log"]
