"""What follows -- belongs to the guest."""

import click
import pytest

from cli.parsing.guest_argv import TrailingCommand, trailing


@click.command(cls=TrailingCommand)
@click.option("-v", "--verbose", is_flag=True)
@click.argument("vm")
@click.pass_context
def command(ctx: click.Context, vm: str, verbose: bool) -> tuple[str, bool, tuple[str, ...]]:
    return vm, verbose, trailing(ctx)


def parsed(*words: str) -> object:
    return command.main(list(words), "banger", standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("web",), ("web", False, ())),
        (("web", "--"), ("web", False, ())),
        (("-v", "web", "--", "ls", "-v"), ("web", True, ("ls", "-v"))),
        (("web", "--", "a", "--", "b"), ("web", False, ("a", "--", "b"))),
    ],
)
def test_the_first_dashes_end_our_words(words: tuple[str, ...], meant: object) -> None:
    assert parsed(*words) == meant


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("web", "ls"), "Unexpected argument 'ls'. Put the guest command after --"),
        (("web", "ls", "-l"), "No such option '-l'. Put the guest command after --"),
        (("web", "ls", "--", "x"), "Unexpected argument 'ls'"),
    ],
)
def test_a_word_too_many_is_refused_with_the_place_it_belongs_to(
    words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(click.UsageError) as raised:
        parsed(*words)
    assert raised.value.message == message


def test_the_usage_shows_the_place() -> None:
    assert command.collect_usage_pieces(click.Context(command))[-1] == "[-- CMD...]"
