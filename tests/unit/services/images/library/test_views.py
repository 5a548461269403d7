"""Manifests as the bus carries them."""

from pathlib import Path

import pytest

from services.images.library.library import Damaged
from services.images.library.manifest import FileSum, KernelManifest
from services.images.library.views import broken_view, image_list, image_view, kernel_view
from shared.bus import paging
from shared.contract.messages.image import Available, Broken, Image

from .shelf import add


def test_an_image_has_the_size_of_its_root_filesystem(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content")
    shown = image_view(entry, tmp_path / entry.id)
    assert (shown.id, shown.name, shown.size) == (entry.id, "debian", len(b"content"))
    assert (shown.path, shown.rootfs, shown.format) == (
        str(tmp_path / entry.id), "rootfs.squashfs", "squashfs"
    )  # fmt: skip


def test_a_kernel_has_the_size_of_all_its_files() -> None:
    files = {name: FileSum(size=size, sha256="") for name, size in (("vmlinuz", 3), ("vmlinux", 4))}
    entry = KernelManifest(
        id="k", name="debian", version="6.1", arch="x86_64", created="", source="s", files=files
    )
    shown = kernel_view(entry, Path("/kernels/k"))
    assert (shown.size, shown.version, shown.path) == (7, "6.1", "/kernels/k")


def test_what_is_damaged_is_shown_with_its_reason() -> None:
    (shown,) = broken_view([Damaged(Path("/images/i"), "cut short")])
    assert (shown.path, shown.problem) == ("/images/i", "cut short")


def test_a_listing_comes_in_pages_that_hold_every_entry_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging, "PAGE_BYTES", 100)
    there = [example("b", "2026"), example("a", "2025")]
    offers = [Available(name="debian", description="d" * 50)]
    broken = [Broken(path=f"/images/{n}", problem="cut short" * 9) for n in range(2)]
    found, after = [], ""
    for _ in range(9):
        page = image_list(there, offers, broken, after)
        found += [*page.images, *page.available, *page.broken]
        after = page.next
        if not after:
            break
    assert found == [there[1], there[0], *offers, *broken]


def example(id_: str, created: str) -> Image:
    return Image(id=id_, name="x", arch="", created=created, source="", size=1, path="")
