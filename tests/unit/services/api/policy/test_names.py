"""Readable names for VMs that are given none."""

from services.api.policy.names import ADJECTIVES, NOUNS, random_name
from shared.contract.names import check_name


def test_random_name_is_a_name_and_the_number_picks_it() -> None:
    assert random_name([], 0) == "amber-ant"
    assert check_name(random_name([], 123_456_789), "a VM") == random_name([], 123_456_789)


def test_taken_name_is_passed_over() -> None:
    assert random_name(["amber-ant", "amber-badger"], 0) == "amber-bear"


def test_every_pair_of_words_is_a_name_that_can_be_given() -> None:
    pairs = len(ADJECTIVES) * len(NOUNS)
    names = {random_name([], number) for number in range(pairs)}
    assert len(names) == pairs
    assert all(check_name(name, "a VM") for name in names)


def test_with_all_words_taken_there_is_still_a_name() -> None:
    every = [f"{adjective}-{noun}" for adjective in ADJECTIVES for noun in NOUNS]
    assert check_name(random_name(every, 0xBEEF), "a VM") == "vm-beef"
    assert random_name(every[:-1], 5) == "zesty-zebra"
