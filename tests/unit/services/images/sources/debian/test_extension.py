import pytest

from services.images.sources.debian.catalogue import IMAGES, DebianImage
from services.images.sources.debian.extension import extended
from shared.errors import BangerError, Code

BASE = IMAGES["debian-bookworm"]


def refusal(name: str, *include: str) -> BangerError:
    with pytest.raises(BangerError) as raised:
        extended(BASE, name, include)
    return raised.value


def test_further_packages_come_on_top_under_the_new_name() -> None:
    recipe = extended(BASE, "py", ["python3", "nftables"])
    assert isinstance(recipe, DebianImage)
    assert (recipe.name, recipe.suite) == ("py", BASE.suite)
    assert recipe.packages == (*BASE.packages, "nftables", "python3")
    assert recipe.source == "debian:bookworm.3+nftables,python3"


def test_order_repeats_and_what_the_base_has_anyway_make_no_difference() -> None:
    one = extended(BASE, "py", ["python3", "nftables"])
    other = extended(BASE, "py", ["nftables", "git", "python3", "python3"])
    assert one == other


@pytest.mark.parametrize("word", ["g++", "python3.11", "libc6", "0ad", "gtk+", "a1"])
def test_a_package_name_of_the_policy_is_taken(word: str) -> None:
    assert word in extended(BASE, "py", [word]).packages


@pytest.mark.parametrize(
    "word",
    ["", "-y", "--help", "a", "nano-", "Nano", "a b", "a,b", "a;b", "$(id)", "a/bookworm", "a=1",
     "./a.deb", "?essential", "~n.*", "a*", "a\n", "größe", "../a"],
)  # fmt: skip
def test_what_is_not_a_package_name_is_refused_and_named(word: str) -> None:
    error = refusal("py", "python3", word)
    assert error.code is Code.INVALID
    assert repr(word) in error.message


def test_packages_without_a_name_are_refused_with_what_to_type() -> None:
    error = refusal("", "python3")
    assert error.code is Code.INVALID
    assert "--name NAME --include python3" in error.hint
