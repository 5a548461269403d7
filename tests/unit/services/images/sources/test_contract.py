"""What a recipe promises about a name."""

from pathlib import Path

import pytest

from services.images.library.manifest import ImageManifest
from services.images.library.scratch import Scratch
from services.images.library.single_flight import ReportProgress
from services.images.sources.contract import Recipe
from shared.errors import BangerError, Code


async def never(place: Scratch, progress: ReportProgress) -> ImageManifest:
    raise AssertionError(place.path == Path())


def recipe(*, named_by_user: bool) -> Recipe[ImageManifest]:
    return Recipe("py", "debian:bookworm.2+python3", "", never, named_by_user=named_by_user)


def test_a_name_of_the_source_means_its_newest_edition() -> None:
    ours = recipe(named_by_user=False)
    assert ours.is_newer_than("debian:bookworm+python3")
    assert not ours.is_newer_than(ours.made_from)
    ours.check_result("image", "debian:bookworm+python3")


def test_a_users_name_made_from_something_else_is_a_conflict_that_says_from_what() -> None:
    theirs = recipe(named_by_user=True)
    theirs.check_result("image", theirs.made_from)
    with pytest.raises(BangerError) as raised:
        theirs.check_result("image", "debian:bookworm.2+perl")
    assert raised.value.code is Code.CONFLICT
    assert "debian:bookworm.2+perl" in raised.value.message
    assert "--force" in raised.value.hint


def test_what_a_user_has_named_is_never_outdated() -> None:
    assert not recipe(named_by_user=True).is_newer_than("debian:bookworm+python3")
