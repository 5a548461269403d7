"""Which marks a guest may have after a restore."""

from tests.chaos.saves import Expected, mixed

BACK = Expected("web", frozenset({"s1-before"}))


def test_memory_and_disk_of_the_snapshot_are_right() -> None:
    assert mixed(BACK, "s1-before", "s1-before") == []


def test_a_guest_that_was_booted_since_has_no_mark_in_memory() -> None:
    assert mixed(BACK, "none", "s1-after") == []


def test_a_mixture_is_told() -> None:
    (found,) = mixed(BACK, "s1-before", "s1-after")
    assert found == "web has the memory of s1-before and the disk of s1-after"


def test_one_that_was_not_brought_back_is_told() -> None:
    (found,) = mixed(BACK, "s1-after", "s1-after")
    assert found == "web is at s1-after, not at s1-before"
