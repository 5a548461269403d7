"""Readable names for VMs that are given none."""

import pytest

from services.api.policy.names import ADJECTIVES, NOUNS, candidates
from shared.contract.names import check_name

PAIRS = len(ADJECTIVES) * len(NOUNS)


def test_the_number_picks_the_names() -> None:
    assert candidates(0, 1) == ["amber-ant", "vm-0"]
    assert candidates(123_456_789) == candidates(123_456_789)
    assert candidates(123_456_789) != candidates(123_456_790)


def test_candidates_differ_so_that_one_of_them_is_free() -> None:
    assert len(set(candidates(7, PAIRS))) == PAIRS + 1


@pytest.mark.parametrize("number", [0, 1, 2**32 - 1])
def test_every_candidate_is_a_name_that_can_be_given(number: int) -> None:
    for name in candidates(number, PAIRS):
        assert check_name(name, "a VM") == name


def test_the_last_one_is_the_number_itself() -> None:
    assert candidates(0xBEEF)[-1] == "vm-beef"
