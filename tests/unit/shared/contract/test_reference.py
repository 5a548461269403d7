"""What a reference means: exact first, then a prefix that only one has."""

import pytest

from shared.contract.reference import by_id, find_id, require_whole
from shared.errors import BangerError, Code

WEB, WEB_TWO, DB = ("ecb491", "web"), ("ecb492", "web-2"), ("0f3344", "db")
ROWS = [WEB, WEB_TWO, DB]


@pytest.mark.parametrize(
    ("reference", "row"),
    [
        ("web", WEB),  # exact, though it is a prefix of web-2 too
        ("web-", WEB_TWO),
        ("ecb492", WEB_TWO),
        ("0f", DB),
        ("d", DB),
    ],
)
def test_exact_comes_first_then_a_unique_prefix(reference: str, row: tuple[str, str]) -> None:
    assert find_id("VM", reference, ROWS) == row[0]


@pytest.mark.parametrize("rows", [[("aaaaaa", "0f3344"), DB], [DB, ("aaaaaa", "0f3344")]])
def test_a_name_comes_before_an_id_that_is_the_same(rows: list[tuple[str, str]]) -> None:
    assert find_id("VM", "0f3344", rows) == "aaaaaa"
    assert find_id("VM", "db", rows) == DB[0]
    assert find_id("VM", "aaaaaa", rows) == "aaaaaa"


def test_a_reference_by_id_means_no_name_and_no_prefix() -> None:
    rows = [("aaaaaa", "0f3344"), DB]
    assert find_id("VM", by_id("0f3344"), rows) == DB[0]
    for absent in ("0f33", "db", ""):
        with pytest.raises(BangerError) as raised:
            find_id("VM", by_id(absent), rows)
        assert raised.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("reference", ["mail", "eb", "web-22"])
def test_what_nothing_begins_with_is_not_found(reference: str) -> None:
    with pytest.raises(BangerError) as raised:
        find_id("VM", reference, ROWS)
    assert raised.value.code is Code.NOT_FOUND
    assert raised.value.message == f"there is no VM {reference!r}"
    assert raised.value.hint == "list them: banger vm list"


def test_a_prefix_of_several_is_ambiguous_and_names_them() -> None:
    with pytest.raises(BangerError) as raised:
        find_id("VM", "we", ROWS)
    assert raised.value.code is Code.AMBIGUOUS
    assert raised.value.message == "'we' is ambiguous: it matches web, web-2"
    assert raised.value.details == {"candidates": ["web", "web-2"]}


def test_an_ambiguous_prefix_of_ids_shows_them() -> None:
    with pytest.raises(BangerError) as raised:
        find_id("VM", "ecb49", ROWS)
    assert raised.value.message == ("'ecb49' is ambiguous: it matches web (ecb491), web-2 (ecb492)")
    assert raised.value.details == {"candidates": ["web", "web-2"]}


def test_a_prefix_of_one_name_and_of_another_id_is_ambiguous() -> None:
    with pytest.raises(BangerError) as raised:
        find_id("VM", "ec", [WEB, ("aaaaaa", "echo")])
    assert raised.value.code is Code.AMBIGUOUS


@pytest.mark.parametrize("noun", ["VM", "image", "kernel", "operation"])
def test_an_empty_reference_is_invalid(noun: str) -> None:
    with pytest.raises(BangerError) as raised:
        find_id(noun, "", ROWS)
    assert raised.value.code is Code.INVALID


def test_two_names_of_one_id_are_not_ambiguous() -> None:
    assert find_id("image", "de", [("beta", "debian"), ("beta", "dev")]) == "beta"


def test_what_has_no_name_is_found_and_named_by_its_id() -> None:
    assert find_id("operation", "aa", [("aab", ""), ("abc", "")]) == "aab"
    with pytest.raises(BangerError) as raised:
        find_id("operation", "a", [("aab", ""), ("abc", "")])
    assert raised.value.details == {"candidates": ["aab", "abc"]}


@pytest.mark.parametrize("reference", ["web-1", "ecb492", "ecb", by_id("ecb492")])
def test_what_cannot_be_undone_takes_a_whole_name_or_an_id(reference: str) -> None:
    require_whole("VM", reference, "ecb492", "web-1")


def test_what_cannot_be_undone_is_not_done_to_what_a_name_begins_like() -> None:
    with pytest.raises(BangerError) as raised:
        require_whole("VM", "web", "ecb492", "web-1")
    assert raised.value.code is Code.NOT_FOUND
    assert raised.value.message == "there is no VM 'web'"
    assert raised.value.hint == "write the whole name if you mean web-1"
