"""Which snapshot is meant."""

import click
import pytest

from cli.commands.vm.snapshot.place import one_snapshot, some_snapshots, split


@pytest.fixture(autouse=True)
def _context() -> "object":
    with click.Context(click.Command("show")) as context:
        yield context


@pytest.mark.parametrize(
    ("source", "parts"),
    [("web", ("web", "")), ("web/clean", ("web", "clean")), ("web/", ("web", ""))],
)
def test_a_slash_divides_vm_and_snapshot(source: str, parts: tuple[str, str]) -> None:
    assert split(source) == parts


def test_one_is_named_in_two_words_or_in_one() -> None:
    assert one_snapshot("web", "clean") == one_snapshot("web/clean", None) == ("web", "clean")


def test_several_are_named_in_any_form() -> None:
    assert (
        some_snapshots("web/a", ["b"])
        == some_snapshots("web", ["a", "b"])
        == some_snapshots("web", ["web/a", "web/b"])  # as list -q prints them
        == ("web", ["a", "b"])
    )


def test_none_at_all_says_where_to_look() -> None:
    with pytest.raises(click.UsageError, match="banger vm snapshot list web"):
        one_snapshot("web", None)


def test_two_where_one_is_wanted_are_refused() -> None:
    with pytest.raises(click.UsageError, match="not web/a and b"):
        one_snapshot("web/a", "b")
