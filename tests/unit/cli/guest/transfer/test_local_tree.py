"""Files of this host as entries."""

import os
from pathlib import Path

import pytest

from cli.guest.transfer.archive_entry import DEEPEST, EntryKind, TreeEntry
from cli.guest.transfer.local_tree import LocalSource
from cli.guest.transfer.plan import SourceKind
from shared.errors import BangerError, Code


def walked(source: LocalSource) -> tuple[list[tuple[TreeEntry, bytes]], list[BangerError]]:
    reports: list[BangerError] = []
    found = [(entry, b"".join(entry.content())) for entry in source.entries(reports.append)]
    return found, reports


@pytest.mark.parametrize(
    ("path", "follow", "kind", "name"),
    [
        ("file", False, SourceKind.FILE, "file"),
        ("d", False, SourceKind.DIRECTORY, "d"),
        ("d///", False, SourceKind.DIRECTORY, "d"),
        ("d/.", False, SourceKind.CONTENTS, ""),
        (".", False, SourceKind.CONTENTS, ""),
        ("d/..", False, SourceKind.CONTENTS, ""),
        ("/", False, SourceKind.CONTENTS, ""),
        ("to-d", False, SourceKind.LINK, "to-d"),
        ("to-d/", False, SourceKind.DIRECTORY, "to-d"),
        ("to-d", True, SourceKind.DIRECTORY, "to-d"),
        ("to-file", True, SourceKind.FILE, "to-file"),
        ("dangling", False, SourceKind.LINK, "dangling"),
    ],
)
def test_what_a_path_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, follow: bool, kind: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    Path("file").write_text("x")
    Path("to-d").symlink_to("d")
    Path("to-file").symlink_to("file")
    Path("dangling").symlink_to("none")
    source = LocalSource(path, follow=follow)
    assert (source.kind, source.name) == (kind, name)


@pytest.mark.parametrize(
    ("path", "code"),
    [("none", Code.NOT_FOUND), ("file/", Code.CONFLICT), ("pipe", Code.INVALID)],
)
def test_what_cannot_be_a_source(tmp_path: Path, path: str, code: Code) -> None:
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BangerError) as caught:
        LocalSource(f"{tmp_path}/{path}", follow=False)
    assert caught.value.code == code


def test_a_tree_comes_directory_first_with_its_second_names_as_links(tmp_path: Path) -> None:
    (tmp_path / "t/b").mkdir(parents=True)
    (tmp_path / "t/a").write_bytes(b"a" * 10)
    os.link(tmp_path / "t/a", tmp_path / "t/b/again")
    source = LocalSource(f"{tmp_path}/t", follow=False)
    found, reports = walked(source)
    kinds = [(entry.path, entry.kind, data) for entry, data in found]
    assert kinds == [
        ((), EntryKind.DIRECTORY, b""),
        (("a",), EntryKind.FILE, b"a" * 10),
        (("b",), EntryKind.DIRECTORY, b""),
        (("b", "again"), EntryKind.HARD_LINK, b""),
    ]
    assert not reports
    assert source.size() == 10, "the content is sent once"


def test_only_data_of_a_file_with_holes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "holes"
    with path.open("wb") as holes:
        holes.seek(1 << 30)
        holes.write(b"data")
        holes.truncate(1 << 31)
    source = LocalSource(str(path), follow=False)
    ((entry, data),), _ = walked(source)
    assert entry.size == 1 << 31
    assert data.strip(b"\0") == b"data"
    assert source.size() < 1 << 20


def test_a_file_that_shrinks_is_filled_and_told(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 1000)
    reports: list[BangerError] = []
    for entry in LocalSource(str(path), follow=False).entries(reports.append):
        path.write_bytes(b"y" * 10)
        assert b"".join(entry.content()) == b"y" * 10 + bytes(990)
    assert [each.code for each in reports] == [Code.CONFLICT]


def test_a_tree_that_is_too_deep_is_cut_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(DEEPEST + 2):
        Path("d").mkdir()
        monkeypatch.chdir("d")
    found, reports = walked(LocalSource(f"{tmp_path}/d", follow=False))
    assert len(found) == DEEPEST + 1
    assert [each.details["errno"] for each in reports] == ["ENAMETOOLONG"]
