"""Manifests: what is written is read, in order, whatever names hold."""

import os
from pathlib import Path

import pytest

from services.workspaces.placement.manifest import (
    Manifest,
    blob_stamp,
    file_stamp,
    manifest_lines,
    read_manifest,
    split_stamp,
    with_raw_oid,
    write_manifest,
)
from services.workspaces.repository.discovery import Repository
from services.workspaces.repository.selection import Entry, Selection

LINES = [(b"a\nb", b"blob 100644 1"), (b"b\xff", b"file 2"), (b"c " * 2000, b"")]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m", LINES * 100)
    assert list(read_manifest(tmp_path / "m")) == LINES * 100


def test_a_manifest_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m", LINES)
    (tmp_path / "gone").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        write_manifest(tmp_path / "gone", LINES)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["gone", "m"]


def test_a_stamp_knows_content_and_mode(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    first = file_stamp(file.stat(), 0o100644)
    assert file_stamp(file.stat(), 0o100644) == first
    assert file_stamp(file.stat(), 0o100755) != first
    os.utime(file, (1, 1))
    assert file_stamp(file.stat(), 0o100644) != first
    assert blob_stamp(0o100644, "a") != blob_stamp(0o100755, "a")


def test_a_raw_object_name_is_beside_the_stamp(tmp_path: Path) -> None:
    assert split_stamp(with_raw_oid(b"file 1", "ab")) == (b"file 1", "ab")
    assert split_stamp(with_raw_oid(b"file 1", "")) == (b"file 1", "")
    write_manifest(tmp_path / "m", [(b"one", b"file 1 raw ab"), (b"two", b"file 2")])
    manifest = Manifest(tmp_path / "m")
    assert list(manifest) == [(b"one", b"file 1"), (b"two", b"file 2")]
    assert manifest.raw == {b"one": "ab"}


def test_lines_are_what_was_sent_and_what_was_there_before() -> None:
    def entry(name: bytes) -> Entry:
        return Entry(name, 0o100644, "ab")

    here = Path("/")
    selection = Selection(Repository(here, here, here))
    selection.checkout = [entry(b"c")]
    selection.overlay = [entry(b"a"), entry(b"d"), entry(b"b")]
    before = [(b"0", b"old"), (b"a", b"old raw 1"), (b"b", b"old"), (b"c", b"old")]
    assert list(manifest_lines(selection, {b"b": b"new", b"d": b"new"}, before)) == [
        (b"a", b"old raw 1"),
        (b"b", b"new"),
        (b"c", b"blob 100644 ab"),
        (b"d", b"new"),
    ]
