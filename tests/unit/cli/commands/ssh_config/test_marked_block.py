"""What we put into a user's file comes out again to the letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.commands.ssh_config.marked_block import BEGIN, END, with_block, without_block
from shared.errors import BangerError, Code

LINES = "Host *.vm\n    User root\n"
TEXT = st.text().filter(lambda text: BEGIN not in text)


@given(TEXT)
def test_taking_out_what_was_put_in_leaves_the_file_as_it_was(text: str) -> None:
    assert without_block(with_block(text, LINES)) == text


@given(TEXT)
def test_putting_in_twice_is_putting_in_once(text: str) -> None:
    once = with_block(text, LINES)
    assert with_block(once, LINES) == once


def test_a_new_block_comes_before_what_the_user_has() -> None:
    assert with_block("Host *\n", LINES) == f"{BEGIN}\n{LINES}{END}\nHost *\n"


def test_lines_added_before_our_block_stay_before_it() -> None:
    text = "Host a\n" + with_block("Host b\n", LINES)
    assert with_block(text, LINES) == text
    assert without_block(text) == "Host a\nHost b\n"


def test_a_block_without_an_end_is_not_guessed_at() -> None:
    with pytest.raises(BangerError) as caught:
        without_block(f"{BEGIN}\nInclude x\nHost mine\n")
    assert caught.value.code is Code.CONFLICT
    assert END in caught.value.hint
