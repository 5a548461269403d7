"""What all sources offer together; a made-up one is a source like any other."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from services.images.library.on_demand import BuildOnDemand
from services.images.library.scratch import Scratch
from services.images.library.single_flight import ReportProgress
from services.images.sources.contract import Recipe
from services.images.sources.registry import Catalogue, image_sources, kernel_sources
from shared.config import Config, DefaultsConfig
from shared.errors import BangerError, Code
from tests.unit.services.images.library.shelf import put


class Tins:
    """A source of its own: whatever begins with ``tin-`` is made of that name's bytes."""

    def offers(self) -> list[Recipe[ImageManifest]]:
        return [self._recipe("tin-soup")]

    def recipe(self, name: str) -> Recipe[ImageManifest] | None:
        return self._recipe(name) if name.startswith("tin-") else None

    def _recipe(self, name: str) -> Recipe[ImageManifest]:
        async def make(place: Scratch, progress: ReportProgress) -> ImageManifest:
            progress("open", "with a key", 0.5)
            return put(place, name.encode(), name)

        return Recipe(name=name, made_from=f"tin:{name}", description="canned", make=make)


class Boxes(Tins):
    """Takes packages, and knows one name that ``Tins`` knows too."""

    def offers(self) -> list[Recipe[ImageManifest]]:
        return [self._boxed("tin-soup"), self._boxed("box")]

    def recipe(self, name: str) -> Recipe[ImageManifest] | None:
        return self._boxed(name) if name in ("box", "tin-soup") else None

    def _boxed(self, name: str) -> Recipe[ImageManifest]:
        def extend(name: str, packages: Sequence[str]) -> Recipe[ImageManifest]:
            return replace(self._recipe(name), made_from=f"box+{','.join(packages)}")

        return replace(self._recipe(name), made_from=f"box:{name}", extend=extend)


CATALOGUE = Catalogue("image", [Tins(), Boxes()])


def refusal(*arguments: str) -> BangerError:
    base, name, *packages = arguments
    with pytest.raises(BangerError) as raised:
        CATALOGUE.extended(base, name, packages)
    return raised.value


def test_every_source_is_offered_and_no_name_twice() -> None:
    assert [offer.name for offer in CATALOGUE.available()] == ["tin-soup", "box"]


def test_the_first_source_that_knows_a_name_has_it() -> None:
    assert CATALOGUE.get("tin-soup").made_from == "tin:tin-soup"
    assert CATALOGUE.get("box").made_from == "box:box"
    assert CATALOGUE.get("tin-that-is-not-listed").name == "tin-that-is-not-listed"


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert CATALOGUE.find("fish") is None
    with pytest.raises(BangerError) as raised:
        CATALOGUE.get("fish")
    assert raised.value.code is Code.NOT_FOUND
    assert all(name in raised.value.hint for name in ("tin-soup", "box"))


def test_further_packages_go_to_the_source_of_the_base() -> None:
    assert CATALOGUE.extended("box", "mine", ["a", "b"]).made_from == "box+a,b"


def test_a_source_without_packages_refuses_them() -> None:
    assert refusal("tin-soup", "mine", "a").code is Code.INVALID


@pytest.mark.parametrize("name", ["-x", "X", "a_b", "../x", "a" * 64])
def test_what_is_not_a_name_is_refused(name: str) -> None:
    assert refusal("box", name, "a").code is Code.INVALID


def test_a_name_of_the_catalogue_stays_what_the_catalogue_describes() -> None:
    for name in ("box", "tin-soup", "tin-other"):
        error = refusal("box", name, "a")
        assert error.code is Code.INVALID
        assert "catalogue" in error.message


def test_what_a_source_makes_is_published_under_its_name(tmp_path: Path) -> None:
    library = Library(tmp_path, ImageManifest, "image")
    recipe = CATALOGUE.get("tin-soup")
    stages: list[str] = []

    def note(stage: str, _message: str, _fraction: float | None) -> None:
        stages.append(stage)

    made = asyncio.run(
        BuildOnDemand(library).get(recipe.name, recipe.make, force=False, progress=note)
    )
    assert library.find("tin-soup") == made
    assert stages == ["open", "publish"]


def test_the_defaults_of_the_configuration_are_offered() -> None:
    defaults = DefaultsConfig()
    assert image_sources(Config()).get(defaults.image).name == defaults.image
    assert kernel_sources(Config()).get(defaults.kernel).name == defaults.kernel
