"""OCI layouts on disk, honest and hostile."""

import os
from pathlib import Path

import pytest

from services.images.oci.layout import read_directory
from shared.errors import BangerError, Code
from tests.oci.container_images import Layout, digest_of, layer

ONE, TWO = layer({"a": b"1"}), layer({"b": b"2"})


@pytest.fixture(name="layout")
def _layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "image")


def blob(layout: Layout, digest: str) -> Path:
    return layout.directory / "blobs/sha256" / digest.removeprefix("sha256:")


def test_the_only_image_needs_no_tag(layout: Layout) -> None:
    layout.tag(layout.add_image([ONE, TWO], how="zstd", config={"User": "me"}), "1.0")
    for tag in ("", "1.0"):
        image = read_directory(layout.directory, tag)
        assert image.config.user == "me"
        assert [each.diff_id for each in image.layers] == [digest_of(ONE), digest_of(TWO)]
        assert image.layers[0].path.parent == layout.directory / "blobs/sha256"
        assert image.name == "1.0"


def test_one_of_several_has_to_be_named(layout: Layout) -> None:
    layout.tag(layout.add_image([ONE]), "one")
    layout.tag(layout.add_image([TWO]), "two")
    assert read_directory(layout.directory, "two").layers[0].diff_id == digest_of(TWO)
    with pytest.raises(BangerError) as caught:
        read_directory(layout.directory, "")
    assert (caught.value.code, caught.value.hint) == (Code.AMBIGUOUS, "add :TAG, one of: one, two")
    with pytest.raises(BangerError) as caught:
        read_directory(layout.directory, "three")
    assert (caught.value.code, caught.value.hint) == (Code.NOT_FOUND, "it has: one, two")


def test_an_index_is_followed(layout: Layout) -> None:
    both = [layout.add_image([ONE], architecture="arm64"), layout.add_image([TWO])]
    layout.tag(layout.add_index(both), "x")
    assert read_directory(layout.directory, "").layers[0].diff_id == digest_of(TWO)


def test_the_same_layer_may_come_twice(layout: Layout) -> None:
    layout.tag(layout.add_image([ONE, TWO, ONE]), "x")
    assert len(read_directory(layout.directory, "").layers) == 3


def test_there_has_to_be_a_directory(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        read_directory(tmp_path / "none", "")
    assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(BangerError, match=r"index\.json"):
        read_directory(tmp_path, "")


@pytest.mark.parametrize("what", ["manifest", "config", "layer", "index"])
@pytest.mark.parametrize("how", ["gone", "other", "longer", "link", "fifo", "directory"])
def test_a_file_that_is_not_what_it_should_be_is_refused(
    layout: Layout, tmp_path: Path, what: str, how: str
) -> None:
    descriptor = layout.add_image([ONE], how="")
    layout.tag(descriptor, "x")
    image = read_directory(layout.directory, "")
    paths = {
        "manifest": blob(layout, descriptor["digest"]),
        "layer": image.layers[0].path,
        "index": layout.directory / "index.json",
    }
    known = {*paths.values()}
    config = next(p for p in (layout.directory / "blobs/sha256").iterdir() if p not in known)
    path = paths.get(what, config)
    content = path.read_bytes()
    path.unlink()
    if how in ("other", "longer"):
        path.write_bytes(b"x" + content[1:] if how == "other" else content + b"x")
    elif how == "link":
        (tmp_path / "outside").write_bytes(content)
        path.symlink_to(tmp_path / "outside")
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "directory":
        path.mkdir()
    with pytest.raises(BangerError) as caught:
        read_directory(layout.directory, "")
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "../x", "", "sha256:" + "a" * 63])
def test_a_digest_is_no_path(layout: Layout, digest: str) -> None:
    layout.tag(layout.add_image([ONE]) | {"digest": digest}, "x")
    with pytest.raises(BangerError, match="is no SHA-256"):
        read_directory(layout.directory, "")


def test_an_index_of_indexes_comes_to_an_end(layout: Layout) -> None:
    found = layout.add_image([ONE])
    for _ in range(6):
        found = layout.add_index([found]) | {"platform": {"os": "linux", "architecture": "amd64"}}
    layout.tag(found, "x")
    with pytest.raises(BangerError, match="indexes stand"):
        read_directory(layout.directory, "")
