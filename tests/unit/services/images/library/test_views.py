"""Manifests as the bus carries them."""

from pathlib import Path

from services.images.library.library import Damaged
from services.images.library.manifest import FileSum, KernelManifest
from services.images.library.views import broken_view, image_view, kernel_view

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
