import pytest

from services.images.library.reference import find
from shared.errors import BangerError, Code

BETA, BETA_TWO = "beta00000000000a", "0123456789abcdef"
IDS = [BETA, BETA_TWO]
NAMES = {"beta": BETA, "beta-2": BETA_TWO, "debian": BETA_TWO}


@pytest.mark.parametrize(
    ("reference", "identifier"),
    [
        ("beta", BETA),  # exact, though it is a prefix of beta-2 too
        ("beta-2", BETA_TWO),
        (BETA_TWO, BETA_TWO),
        ("0123", BETA_TWO),
        ("deb", BETA_TWO),
        ("beta0", BETA),
    ],
)
def test_exact_comes_first_then_a_unique_prefix(reference: str, identifier: str) -> None:
    assert find("image", reference, IDS, NAMES) == identifier


def test_an_ambiguous_prefix_lists_the_candidates() -> None:
    with pytest.raises(BangerError) as raised:
        find("image", "bet", IDS, NAMES)
    assert raised.value.code is Code.AMBIGUOUS
    assert raised.value.details["candidates"] == ["beta", "beta-2"]


def test_two_names_of_one_image_are_not_ambiguous() -> None:
    assert find("image", "de", [BETA], {"debian": BETA, "dev": BETA}) == BETA


@pytest.mark.parametrize("reference", ["", "gamma", "ta"])
def test_nothing_that_fits_is_not_found(reference: str) -> None:
    with pytest.raises(BangerError) as raised:
        find("kernel", reference, IDS, NAMES)
    assert raised.value.code is Code.NOT_FOUND
    assert "banger kernel list" in raised.value.hint
