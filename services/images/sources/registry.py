"""The sources that there are, one line each, and what they offer together."""

from collections.abc import Sequence
from typing import Generic

from services.images.library.library import Noun
from services.images.library.manifest import ImageManifest, KernelManifest, M
from services.images.sources.contract import Recipe, Source
from services.images.sources.debian.source import DebianImages, DebianKernels
from shared.config import Config
from shared.contract.messages.image import Available
from shared.contract.names import check_name
from shared.errors import BangerError, Code


def image_sources(config: Config) -> "Catalogue[ImageManifest]":
    """Where images come from; the first source that knows a name has it."""
    return Catalogue("image", [DebianImages(config.mirror)])


def kernel_sources(config: Config) -> "Catalogue[KernelManifest]":
    """Where kernels come from; the first source that knows a name has it."""
    return Catalogue("kernel", [DebianKernels(config.mirror)])


class Catalogue(Generic[M]):
    """All sources of images, or of kernels."""

    def __init__(self, noun: Noun, sources: Sequence[Source[M]]) -> None:
        self._noun = noun
        self._sources: Sequence[Source[M]] = sources

    def available(self) -> list[Available]:
        """What can be had by name."""
        return [
            Available(name=recipe.name, description=recipe.description) for recipe in self._offers()
        ]

    def find(self, name: str) -> Recipe[M] | None:
        """The recipe for what is called exactly ``name``, or None."""
        found = (source.recipe(name) for source in self._sources)
        return next((recipe for recipe in found if recipe), None)

    def get(self, name: str) -> Recipe[M]:
        """As ``find``. Raises ``not_found`` with the names there are."""
        recipe = self.find(name)
        if recipe is None:
            raise BangerError(
                Code.NOT_FOUND,
                f"the catalogue has no {self._noun} {name!r}",
                hint=f"it has: {', '.join(sorted(offer.name for offer in self._offers()))}",
            )
        return recipe

    def extended(self, base: str, name: str, packages: Sequence[str]) -> Recipe[M]:
        """The recipe ``base`` with further packages, published as ``name``.

        Raises:
            BangerError: ``not_found`` for the base; ``invalid`` for a name that is none or is the
                catalogue's, for packages that are none, or when the base takes no packages.
        """
        recipe = self.get(base)
        if recipe.extend is None:
            raise BangerError(Code.INVALID, f"no packages can be added to {base}")
        if name:
            check_name(name, "an image" if self._noun == "image" else "a kernel")
            self.refuse_known(name)
        return recipe.extend(name, packages)

    def refuse_known(self, name: str) -> None:
        """Raise ``invalid`` for a name of the catalogue's, which a user cannot give."""
        if self.find(name):
            raise BangerError(
                Code.INVALID,
                f"{name} is reserved: the catalogue has an entry of this name",
                hint="choose another name",
            )

    def _offers(self) -> list[Recipe[M]]:
        offers: dict[str, Recipe[M]] = {}
        for offer in (offer for source in self._sources for offer in source.offers()):
            offers.setdefault(offer.name, offer)
        return list(offers.values())
