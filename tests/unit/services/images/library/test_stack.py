"""Images on images."""

import os
from pathlib import Path

import pytest

from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from services.images.library.stack import layers, needed_by, real_bytes, refuse_base, stack_of
from shared.errors import BangerError, Code

from .shelf import add


def library(root: Path) -> Library[ImageManifest]:
    return Library(root, ImageManifest, "image")


def test_a_stack_goes_down_to_a_whole_image(tmp_path: Path) -> None:
    base = add(tmp_path, b"base", "base")
    child = add(tmp_path, b"child", "child", base=base)
    top = add(tmp_path, b"top", "top", base=child)
    assert stack_of(library(tmp_path), top) == [top, child, base]
    assert [layer.name for layer in layers(library(tmp_path), [top, base])] == ["top", "base"]
    assert needed_by([base, child, top], [child.id]) == {child.id, base.id}


def test_the_same_changes_on_another_base_are_another_image(tmp_path: Path) -> None:
    one, two = add(tmp_path, b"one", "one"), add(tmp_path, b"two", "two")
    left = add(tmp_path, b"change", "left", base=one)
    right = add(tmp_path, b"change", "right", base=two)
    assert left.rootfs == right.rootfs
    assert left.id != right.id


def test_an_image_whose_base_is_gone_says_so(tmp_path: Path) -> None:
    base = add(tmp_path, b"base", "base")
    child = add(tmp_path, b"child", "child", base=base)
    library(tmp_path).remove("base")
    with pytest.raises(BangerError, match=base.id) as raised:
        stack_of(library(tmp_path), child)
    assert raised.value.code is Code.INVALID


def test_too_many_layers_are_refused(tmp_path: Path) -> None:
    top = add(tmp_path, b"0", "0")
    for number in range(1, 8):
        top = add(tmp_path, str(number).encode(), f"l{number}", base=top)
    assert len(stack_of(library(tmp_path), top)) == 8
    top = add(tmp_path, b"8", "l8", base=top)
    with pytest.raises(BangerError, match="more than 8 layers"):
        stack_of(library(tmp_path), top)


def test_an_image_that_others_lie_on_is_not_deleted(tmp_path: Path) -> None:
    base = add(tmp_path, b"base", "base")
    child = add(tmp_path, b"child", "child", base=base)
    refuse_base([base, child], child.id)
    with pytest.raises(BangerError, match="the base of child") as raised:
        refuse_base([base, child], base.id)
    assert raised.value.code is Code.CONFLICT


def test_real_bytes_are_those_on_the_disk(tmp_path: Path) -> None:
    empty = real_bytes(tmp_path)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    (tmp_path / "full").write_bytes(os.urandom(1 << 20))
    os.link(tmp_path / "full", tmp_path / "again")
    (tmp_path / "link").symlink_to("/usr")
    assert 1 << 20 <= real_bytes(tmp_path) - empty < 3 << 20
    assert real_bytes(tmp_path / "missing") == 0
