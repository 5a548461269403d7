from dataclasses import replace

import pytest

from services.images.sources.debian.catalogue import (
    IMAGES,
    KERNELS,
    image_recipe,
    kernel_recipe,
    outdated,
)
from shared.config import DefaultsConfig
from shared.errors import BangerError, Code


def test_the_defaults_of_the_configuration_are_in_the_catalogue() -> None:
    defaults = DefaultsConfig()
    assert image_recipe(defaults.image).name == defaults.image
    assert kernel_recipe(defaults.kernel).name == defaults.kernel


def test_an_image_has_what_banger_itself_needs_in_a_guest() -> None:
    for recipe in IMAGES.values():
        assert {"systemd-sysv", "openssh-server", "qemu-guest-agent", "git"} <= set(recipe.packages)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BangerError) as raised:
        kernel_recipe("debian-potato")
    assert raised.value.code is Code.NOT_FOUND
    assert all(name in raised.value.hint for name in KERNELS)


def test_source_names_the_revision_of_the_recipe_from_the_second_on() -> None:
    first = replace(IMAGES["debian-bookworm"], revision=1)
    assert first.source == "debian:bookworm"
    assert replace(first, revision=2, included=("perl",)).source == "debian:bookworm.2+perl"


def test_only_the_catalogues_own_images_are_ever_outdated() -> None:
    recipe = IMAGES["debian-bookworm"]
    assert outdated(recipe, "debian:bookworm")
    assert not outdated(recipe, recipe.source)
    assert not outdated(replace(recipe, name="mine"), "debian:bookworm")
