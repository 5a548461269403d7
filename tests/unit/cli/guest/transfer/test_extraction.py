"""Writing what a hostile guest sends: nothing outside the destination, nothing half done."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.guest.transfer.archive_entry import EntryKind, TreeEntry
from cli.guest.transfer.extraction import Extraction, fill_without_holes
from shared.errors import BangerError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The destination, in a directory whose other files must stay as they are."""
    (tmp_path / "destination").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("kept")
    return tmp_path / "destination"


def file(*path: str, data: bytes = b"new", mode: int = 0o644) -> TreeEntry:
    segments = ((0, len(data)),)
    return TreeEntry(
        EntryKind.FILE, path, mode, 5, len(data), segments=segments, content=lambda: iter([data])
    )


def link(*path: str, to: str) -> TreeEntry:
    return TreeEntry(EntryKind.LINK, path, link=to)


def directory(*path: str, mode: int = 0o755) -> TreeEntry:
    return TreeEntry(EntryKind.DIRECTORY, path, mode, 10**18)


def written(place: Path, *entries: TreeEntry) -> list[BangerError]:
    """Write ``entries``; returns what was reported: one error for each that is not here."""
    reports: list[BangerError] = []
    with Extraction(str(place), reports.append, lambda _: None) as extraction:
        here = [extraction.place(entry, ()) for entry in entries]
    assert here.count(False) == len(reports)
    return reports


def outside(place: Path) -> list[tuple[str, str, int]]:
    return [
        (path.name, path.read_text(), path.stat().st_nlink)
        for path in sorted((place.parent / "outside").iterdir())
    ]


@pytest.mark.parametrize("to", ["../outside", "OUTSIDE"])
@pytest.mark.parametrize("before", [True, False])
def test_no_link_leads_out_whether_it_was_there_or_came_with_the_stream(
    place: Path, to: str, before: bool
) -> None:
    target = to.replace("OUTSIDE", str(place.parent / "outside"))
    if before:
        (place / "l").symlink_to(target)
    attack = [
        *([] if before else [link("l", to=target)]),
        file("l", "planted"),
        directory("l"),
        file("l", "kept"),
        directory("l", "sub"),
        link("l", "planted", to="x"),
        TreeEntry(EntryKind.HARD_LINK, ("stolen",), original=("l", "kept")),
        TreeEntry(EntryKind.HARD_LINK, ("l", "planted"), original=("own",)),
    ]
    reports = written(place, file("own"), *attack)
    assert len(reports) == 7
    assert outside(place) == [("kept", "kept", 1)]
    assert (place / "l").is_symlink()
    assert not (place / "stolen").exists()


def test_a_file_replaces_a_link_and_is_not_written_through_it(place: Path) -> None:
    (place / "l").symlink_to("../outside/kept")
    assert written(place, file("l")) == []
    assert (place / "l").read_text() == "new"
    assert not (place / "l").is_symlink()
    assert outside(place) == [("kept", "kept", 1)]


def test_a_second_name_of_a_file_is_not_written_through(place: Path) -> None:
    os.link(place.parent / "outside/kept", place / "shared")
    written(place, file("shared"))
    assert outside(place) == [("kept", "kept", 1)]


def test_a_name_that_was_not_made_is_not_made(place: Path) -> None:
    assert len(written(place, file("no", "such"), directory("a", "b"))) == 2
    assert list(place.iterdir()) == []


def test_devices_are_not_made(place: Path) -> None:
    reports = written(place, TreeEntry(EntryKind.SPECIAL, ("null",)))
    assert "neither a file" in reports[0].message
    assert list(place.iterdir()) == []


def test_a_directory_is_not_replaced(place: Path) -> None:
    (place / "d").mkdir()
    for entry in (file("d"), link("d", to="x")):
        assert len(written(place, entry)) == 1
    assert (place / "d").is_dir()
    assert [path.name for path in place.iterdir()] == ["d"]


def test_directories_get_their_mode_and_time_last_and_old_ones_keep_theirs(place: Path) -> None:
    (place / "old").mkdir(mode=0o700)
    before = (place / "old").stat()
    tree = [directory("old", mode=0o777), directory("new", mode=0o555), directory("new", "sub"),
            file("new", "sub", "f"), file("new", "g")]  # fmt: skip
    assert written(place, *tree) == []
    assert stat.S_IMODE((place / "old").stat().st_mode) == 0o700
    assert (place / "old").stat().st_mtime_ns == before.st_mtime_ns
    assert stat.S_IMODE((place / "new").stat().st_mode) == 0o555
    assert (place / "new").stat().st_mtime_ns == 10**18
    assert (place / "new/sub/f").stat().st_mtime_ns == 5


def test_a_copy_that_is_interrupted_leaves_what_was_there(place: Path) -> None:
    (place / "f").write_text("old")

    def interrupted() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    entry = TreeEntry(EntryKind.FILE, ("f",), size=8, segments=((0, 8),), content=interrupted)
    with pytest.raises(KeyboardInterrupt):
        written(place, entry)
    assert (place / "f").read_text() == "old"
    assert [path.name for path in place.iterdir()] == ["f"]


def test_holes_stay_holes(place: Path) -> None:
    entry = TreeEntry(
        EntryKind.FILE, ("h",), 0o600, 0, 1 << 34, segments=((1 << 33, 4), (1 << 33 | 8, 2)),
        content=lambda: iter([b"abcd", b"ef"]),
    )  # fmt: skip
    assert written(place, entry) == []
    info = (place / "h").stat()
    assert info.st_size == 1 << 34
    assert info.st_blocks < 100
    with (place / "h").open("rb") as holes:
        holes.seek(1 << 33)
        assert holes.read(11) == b"abcd\0\0\0\0ef\0"


def test_a_pipe_gets_zeros_for_holes() -> None:
    read, write = os.pipe()
    entry = TreeEntry(
        EntryKind.FILE, (), size=9, segments=((2, 3),), content=lambda: iter([b"abc"])
    )
    fill_without_holes(write, entry, lambda _: None)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"\0\0abc\0\0\0\0"


def test_hard_links_stay_hard_links(place: Path) -> None:
    entries = [directory("d"), file("d", "a"),
               TreeEntry(EntryKind.HARD_LINK, ("b",), original=("d", "a"))]  # fmt: skip
    assert written(place, *entries, entries[-1]) == []
    assert (place / "b").stat().st_nlink == 2
    assert sorted(path.name for path in place.iterdir()) == ["b", "d"]
