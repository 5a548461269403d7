"""Names and what a reference to one means."""

import pytest

from services.api.policy.names import ADJECTIVES, NOUNS, find, random_name
from shared.contract.messages.vm import Vm
from shared.contract.names import check_name
from shared.errors import BangerError, Code
from tests.example import example_vm


def vm(name: str, vm_id: str = "0123456789ab") -> Vm:
    return example_vm(id=vm_id, name=name)


BETA, BETA2, GAMMA = vm("beta", "aa0000000000"), vm("beta-2", "ab0000000000"), vm("gamma", "b" * 12)
VMS = [BETA2, BETA, GAMMA]


def refusal(ref: str) -> BangerError:
    with pytest.raises(BangerError) as caught:
        find(ref, VMS)
    return caught.value


def test_exact_name_comes_before_longer_names_it_is_a_prefix_of() -> None:
    assert find("beta", VMS) is BETA


@pytest.mark.parametrize(
    ("ref", "meant"),
    [("beta-", BETA2), ("g", GAMMA), ("aa", BETA), ("ab0000000000", BETA2), ("b" * 3, GAMMA)],
)
def test_unique_prefix_of_a_name_or_an_id_is_enough(ref: str, meant: Vm) -> None:
    assert find(ref, VMS) is meant


def test_ambiguous_reference_lists_the_candidates() -> None:
    error = refusal("bet")
    assert error.code is Code.AMBIGUOUS
    assert error.details == {"candidates": ["beta", "beta-2"]}
    assert "beta, beta-2" in error.message


def test_prefix_of_one_name_and_another_id_is_ambiguous() -> None:
    assert refusal("b").details["candidates"] == ["beta", "beta-2", "gamma"]


def test_unknown_reference_is_not_found_and_quoted() -> None:
    error = refusal("delta")
    assert error.code is Code.NOT_FOUND
    assert "'delta'" in error.message


def test_empty_reference_means_nobody() -> None:
    assert refusal("").code is Code.INVALID
    with pytest.raises(BangerError):
        find("", [BETA])


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
