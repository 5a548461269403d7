"""Debian's catalogue as recipes."""

import pytest

from services.images.sources.debian.catalogue import IMAGES, KERNELS
from services.images.sources.debian.source import DebianImages, DebianKernels
from shared.errors import BangerError, Code


def test_the_whole_catalogue_is_offered() -> None:
    assert [offer.name for offer in DebianImages("").offers()] == list(IMAGES)
    assert [offer.name for offer in DebianKernels("").offers()] == list(KERNELS)


def test_a_recipe_is_found_by_its_exact_name_only() -> None:
    recipe = DebianImages("").recipe("debian-bookworm")
    assert recipe
    assert recipe.made_from == IMAGES["debian-bookworm"].source
    assert not recipe.named_by_user
    assert DebianImages("").recipe("debian") is None
    assert DebianKernels("").recipe("debian") is None


def test_further_packages_make_a_recipe_of_the_users() -> None:
    base = DebianImages("").recipe("debian-bookworm")
    assert base
    assert base.extend
    recipe = base.extend("py", ["python3"])
    assert (recipe.name, recipe.made_from) == ("py", f"{base.made_from}+python3")
    assert recipe.named_by_user
    with pytest.raises(BangerError) as raised:
        base.extend("py", ["--help"])
    assert raised.value.code is Code.INVALID


def test_a_kernel_takes_no_packages() -> None:
    recipe = DebianKernels("").recipe("debian-bookworm")
    assert recipe
    assert recipe.extend is None
