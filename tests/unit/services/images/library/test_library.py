from pathlib import Path

import pytest

from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from shared.errors import BangerError, Code

from .shelf import add


def library(root: Path) -> Library[ImageManifest]:
    return Library(root, ImageManifest, "image")


def test_an_empty_or_missing_root_has_no_entries(tmp_path: Path) -> None:
    assert library(tmp_path / "images").entries() == ([], [])
    assert library(tmp_path / "images").names() == {}


def test_one_broken_directory_is_reported_and_does_not_break_the_list(tmp_path: Path) -> None:
    good = add(tmp_path, b"good", "good")
    bad = add(tmp_path, b"bad", "bad")
    (tmp_path / bad.id / "manifest.json").write_text("{")
    entries, damaged = library(tmp_path).entries()
    assert entries == [good]
    assert [entry.path for entry in damaged] == [tmp_path / bad.id]
    assert "not valid" in damaged[0].problem


def test_what_is_not_ours_is_no_entry(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "0123456789abcdef").touch()
    assert library(tmp_path).entries() == ([], [])


def test_an_entry_is_found_by_name_id_and_prefix(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content", "debian-bookworm")
    for reference in ("debian-bookworm", entry.id, "deb", entry.id[:6]):
        assert library(tmp_path).find(reference) == entry
    assert library(tmp_path).path_of(entry) == tmp_path / entry.id


def test_a_damaged_entry_is_not_found_but_named_and_is_not_had(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content", "debian")
    assert library(tmp_path).named("debian")
    (tmp_path / entry.id / "rootfs.squashfs").unlink()
    assert library(tmp_path).named("debian") is None
    with pytest.raises(BangerError) as raised:
        library(tmp_path).find("debian")
    assert raised.value.code is Code.INVALID


def test_a_name_that_leads_nowhere_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "by-name").mkdir()
    (tmp_path / "by-name" / "ghost").symlink_to("../0123456789abcdef")
    assert library(tmp_path).names() == {}


def test_removing_takes_the_directory_and_all_its_names(tmp_path: Path) -> None:
    kept = add(tmp_path, b"kept", "kept")
    add(tmp_path, b"content", "one")
    entry = add(tmp_path, b"content", "two")
    assert library(tmp_path).remove("one") == entry.id
    assert library(tmp_path).names() == {"kept": kept.id}
    assert {path.name for path in tmp_path.iterdir()} == {kept.id, "by-name"}


def test_a_damaged_entry_can_be_removed(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content")
    (tmp_path / entry.id / "manifest.json").unlink()
    library(tmp_path).remove(entry.id)
    assert library(tmp_path).entries() == ([], [])


@pytest.mark.parametrize("stray", ["my-notes.txt", "directory/"])
def test_a_directory_with_something_foreign_in_it_is_left_alone(tmp_path: Path, stray: str) -> None:
    entry = add(tmp_path, b"content")
    path = tmp_path / entry.id / stray
    path.mkdir() if stray.endswith("/") else path.touch()
    with pytest.raises(BangerError, match=path.name) as raised:
        library(tmp_path).remove(entry.id)
    assert raised.value.code is Code.CONFLICT
    assert library(tmp_path).find("debian") == entry


def test_removing_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as raised:
        library(tmp_path).remove("../../etc")
    assert raised.value.code is Code.NOT_FOUND


def test_a_tag_is_one_more_name(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content", "team/web:1")
    assert library(tmp_path).tag("team/web:1", "web:stable") == entry
    assert library(tmp_path).names() == {"team/web:1": entry.id, "web:stable": entry.id}
    assert library(tmp_path).find("web:stable") == library(tmp_path).find("team/") == entry
    library(tmp_path).remove("web:stable")
    assert library(tmp_path).names() == {}


def test_a_tag_of_another_image_is_taken_only_by_force(tmp_path: Path) -> None:
    one, two = add(tmp_path, b"one", "one"), add(tmp_path, b"two", "two")
    with pytest.raises(BangerError, match=r"another image .* has the name") as raised:
        library(tmp_path).tag("one", "two")
    assert raised.value.code is Code.CONFLICT
    library(tmp_path).tag("one", "two", force=True)
    assert library(tmp_path).names() == {"one": one.id, "two": one.id}
    assert library(tmp_path).find(two.id) == two
