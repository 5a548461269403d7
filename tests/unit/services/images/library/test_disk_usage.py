"""What is stored, and what of it may go."""

from pathlib import Path

import pytest

from services.images.library.disk_usage import (
    image_space,
    kernel_space,
    prune_images,
    pruned,
    unused_images,
)
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest, KernelManifest
from services.images.library.publish import exclusive, together
from services.images.library.stack import real_bytes
from shared.contract.messages.image_work import PRUNED_NAMED, PrunedItem
from shared.errors import BangerError, Code

from .shelf import add


def library(root: Path) -> Library[ImageManifest]:
    return Library(root, ImageManifest, "image")


def ids(root: Path, *used: str) -> set[str]:
    return {each.id for each in unused_images(library(root), used)}


def test_an_image_without_name_vm_or_child_is_unused(tmp_path: Path) -> None:
    add(tmp_path, b"named", "named")
    nameless = add(tmp_path, b"nameless", "")
    by_vm = add(tmp_path, b"by vm", "")
    base = add(tmp_path, b"base", "")
    add(tmp_path, b"child", "child", base=base)
    low = add(tmp_path, b"low", "")
    high = add(tmp_path, b"high", "", base=low)
    assert ids(tmp_path, by_vm.id) == {nameless.id, low.id, high.id}
    assert ids(tmp_path, by_vm.id, high.id) == {nameless.id}


def test_a_build_that_takes_a_name_over_leaves_the_older_image_to_prune(tmp_path: Path) -> None:
    old = add(tmp_path, b"old", "web")
    new = add(tmp_path, b"new", "web")
    gone = prune_images(library(tmp_path), [], dry_run=True)
    assert [item.name for item in gone] == [old.id]
    assert (tmp_path / old.id).is_dir()
    assert prune_images(library(tmp_path), [], dry_run=False) == gone
    assert library(tmp_path).entries() == ([new], [])


def test_a_stack_that_nobody_needs_goes_from_the_top(tmp_path: Path) -> None:
    base = add(tmp_path, b"base", "")
    add(tmp_path, b"a", "", base=add(tmp_path, b"b", "", base=base))
    assert len(prune_images(library(tmp_path), [], dry_run=False)) == 3
    assert library(tmp_path).entries() == ([], [])


def test_nothing_is_pruned_while_an_import_publishes(tmp_path: Path) -> None:
    add(tmp_path, b"base", "")
    with together(tmp_path), pytest.raises(BangerError) as raised:
        prune_images(library(tmp_path), [], dry_run=False)
    assert raised.value.code is Code.BUSY
    with exclusive(tmp_path):
        pass
    assert len(prune_images(library(tmp_path), [], dry_run=False)) == 1


def test_an_empty_library_has_nothing(tmp_path: Path) -> None:
    assert prune_images(library(tmp_path / "no"), [], dry_run=False) == []
    assert image_space(library(tmp_path / "no"), []).count == 0
    assert kernel_space(Library(tmp_path / "no", KernelManifest, "kernel")).count == 0


def test_a_base_counts_once(tmp_path: Path) -> None:
    base = add(tmp_path, b"base" * 50_000, "base")
    one = add(tmp_path, b"one", "one", base=base)
    two = add(tmp_path, b"two", "", base=base)
    space = image_space(library(tmp_path), [])
    assert space.count == 3
    assert space.real_bytes == sum(real_bytes(tmp_path / each.id) for each in (base, one, two))
    assert space.reclaimable == real_bytes(tmp_path / two.id)


def test_the_largest_are_named_and_all_are_summed() -> None:
    many = [PrunedItem(kind="image", name=str(n), real_bytes=n) for n in range(PRUNED_NAMED + 5)]
    answer = pruned(many)
    assert (len(answer.pruned), answer.more) == (PRUNED_NAMED, 5)
    assert answer.pruned[0].real_bytes == PRUNED_NAMED + 4
    assert answer.real_bytes == sum(range(PRUNED_NAMED + 5))
