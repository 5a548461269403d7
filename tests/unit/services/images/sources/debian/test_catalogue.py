from dataclasses import replace

from services.images.sources.debian.catalogue import IMAGES, KERNELS
from shared.config import DefaultsConfig


def test_the_defaults_of_the_configuration_are_in_the_catalogue() -> None:
    defaults = DefaultsConfig()
    assert IMAGES[defaults.image].name == defaults.image
    assert KERNELS[defaults.kernel].name == defaults.kernel


def test_an_image_has_what_banger_itself_needs_in_a_guest() -> None:
    for recipe in IMAGES.values():
        assert {"systemd-sysv", "openssh-server", "qemu-guest-agent", "git"} <= set(recipe.packages)


def test_source_names_the_revision_of_the_recipe_from_the_second_on() -> None:
    first = replace(IMAGES["debian-bookworm"], revision=1)
    assert first.source == "debian:bookworm"
    assert replace(first, revision=2, included=("perl",)).source == "debian:bookworm.2+perl"
