"""Several references, one listing."""

import pytest

from cli.client.reference import find, resolve
from shared.errors import BangerError, Code

BETA = {"id": "aa0000000000", "name": "beta"}
BETA2 = {"id": "ab0000000000", "name": "beta-2"}
GAMMA = {"id": "cc0000000000", "name": "gamma"}
LISTING = [BETA, BETA2, GAMMA]


def test_an_exact_name_wins_over_being_a_prefix_of_another() -> None:
    assert find("beta", LISTING) is BETA


def test_a_unique_prefix_of_name_or_id_is_enough() -> None:
    assert find("g", LISTING) is GAMMA
    assert find("ab", LISTING) is BETA2


def test_a_prefix_of_several_lists_them() -> None:
    with pytest.raises(BangerError, match="beta, beta-2") as caught:
        find("bet", LISTING)
    assert caught.value.code is Code.AMBIGUOUS
    assert caught.value.details == {"candidates": ["beta", "beta-2"]}


@pytest.mark.parametrize(("ref", "code"), [("nope", Code.NOT_FOUND), ("", Code.INVALID)])
def test_what_is_not_there_is_not_found_and_nothing_is_no_reference(ref: str, code: Code) -> None:
    with pytest.raises(BangerError) as caught:
        find(ref, LISTING)
    assert caught.value.code is code


def test_a_vm_named_twice_appears_once_in_first_seen_order() -> None:
    found = resolve(["gamma", "beta", "cc0000000000", "g"], LISTING)
    assert list(found.values()) == [GAMMA, BETA]


def test_a_bad_reference_stands_between_good_ones() -> None:
    found = resolve(["gamma", "nope", "beta"], LISTING)
    assert list(found) == ["gamma", "nope", "beta"]
    assert isinstance(found["nope"], BangerError)
