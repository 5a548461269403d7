"""Debian as a source: its packages, put together by mmdebstrap."""

from collections.abc import Sequence
from functools import partial

from services.images.library.manifest import ImageManifest, KernelManifest
from services.images.sources.contract import Recipe
from services.images.sources.debian.build import build_image
from services.images.sources.debian.catalogue import IMAGES, KERNELS, DebianImage, DebianKernel
from services.images.sources.debian.extension import extended
from services.images.sources.debian.kernel import pull_kernel


class DebianImages:
    """Root filesystems of the catalogue. ``mirror`` is a URL, or empty for Debian's own."""

    def __init__(self, mirror: str) -> None:
        self._mirror = mirror

    def offers(self) -> list[Recipe[ImageManifest]]:
        return [self._recipe(image) for image in IMAGES.values()]

    def recipe(self, name: str) -> Recipe[ImageManifest] | None:
        return self._recipe(IMAGES[name]) if name in IMAGES else None

    def _recipe(self, image: DebianImage, *, named_by_user: bool = False) -> Recipe[ImageManifest]:
        return Recipe(
            name=image.name,
            made_from=image.source,
            description=image.description,
            make=partial(build_image, image, self._mirror),
            extend=partial(self._extended, image),
            named_by_user=named_by_user,
        )

    def _extended(
        self, base: DebianImage, name: str, packages: Sequence[str]
    ) -> Recipe[ImageManifest]:
        return self._recipe(extended(base, name, packages), named_by_user=True)


class DebianKernels:
    """Kernels of the catalogue, for guests of any distribution."""

    def __init__(self, mirror: str) -> None:
        self._mirror = mirror

    def offers(self) -> list[Recipe[KernelManifest]]:
        return [self._recipe(kernel) for kernel in KERNELS.values()]

    def recipe(self, name: str) -> Recipe[KernelManifest] | None:
        return self._recipe(KERNELS[name]) if name in KERNELS else None

    def _recipe(self, kernel: DebianKernel) -> Recipe[KernelManifest]:
        return Recipe(
            name=kernel.name,
            made_from=kernel.source,
            description=kernel.description,
            make=partial(pull_kernel, kernel, self._mirror),
        )
