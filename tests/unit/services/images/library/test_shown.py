"""What the verbs about images answer."""

from pathlib import Path

import pytest

from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from services.images.library.shown import all_images, find_image, image_with_layers, remove_image
from shared.contract.messages.image import ImageConfig
from shared.errors import BangerError, Code

from .shelf import add


def library(root: Path) -> Library[ImageManifest]:
    return Library(root, ImageManifest, "image")


def test_an_image_has_its_names_of_now(tmp_path: Path) -> None:
    old = add(tmp_path, b"old", "web")
    add(tmp_path, b"new", "web")
    library(tmp_path).tag(old.id, "web:1")
    library(tmp_path).tag(old.id, "a")
    assert find_image(library(tmp_path), old.id).names == ["a", "web:1"]
    assert find_image(library(tmp_path), old.id).name == "a"
    views, damaged = all_images(library(tmp_path))
    assert sorted(view.name for view in views) == ["a", "web"]
    assert damaged == []


def test_an_image_is_shown_with_what_it_lies_on(tmp_path: Path) -> None:
    base = add(tmp_path, b"base" * 10_000, "base")
    config = ImageConfig(cmd=["run"], exposed=["80/tcp"])
    add(tmp_path, b"child", "child", base=base, config=config)
    shown = image_with_layers(library(tmp_path), "child")
    assert [(layer.name, layer.size) for layer in shown.layers] == [("child", 5), ("base", 40_000)]
    assert (shown.base, shown.config, shown.layers[0].digest) == (base.id, config, shown.digest)
    assert shown.real_bytes < shown.layers[1].real_bytes


def test_an_image_below_another_is_not_removed(tmp_path: Path) -> None:
    base = add(tmp_path, b"base", "base")
    add(tmp_path, b"child", "child", base=base)
    with pytest.raises(BangerError) as raised:
        remove_image(library(tmp_path), "base")
    assert raised.value.code is Code.CONFLICT
    remove_image(library(tmp_path), "child")
    remove_image(library(tmp_path), "base")
    assert all_images(library(tmp_path)) == ([], [])


def test_a_damaged_image_is_removed_by_its_id(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content")
    (tmp_path / entry.id / "manifest.json").write_text("{")
    remove_image(library(tmp_path), entry.id)
    assert all_images(library(tmp_path)) == ([], [])
