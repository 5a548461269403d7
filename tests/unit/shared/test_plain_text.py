"""Text of others as one line that a terminal only prints."""

import pytest

from shared.plain_text import printable


@pytest.mark.parametrize("text", ["", "eth0", "Größe 5 €, 日本", "naïve café"])
def test_plain_text_is_unchanged(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "\x1b]52;c;cm0gLXJmIC8=\x07",  # writes the clipboard
        "\x9b31m",  # CSI in one character
        "\u202egnp.exe",  # turns the direction of writing
        b"\xff\xfe".decode(errors="surrogateescape"),
        "\x00\x7f\u00ad\u200b\ue000\U000e0001",
    ],
)
def test_what_a_terminal_would_obey_becomes_replacement_characters(text: str) -> None:
    cleaned = printable(text)
    assert cleaned.isprintable()
    assert len(cleaned) == len(text)
    assert "\N{REPLACEMENT CHARACTER}" in cleaned
    cleaned.encode()


def test_breaks_and_tabs_become_spaces_so_that_no_line_is_forged() -> None:
    assert printable("one\ntwo\tthree\r\nfour\u2028five\x85six") == "one two three  four five six"


def test_a_long_text_is_cut_and_shows_it() -> None:
    assert printable("abcdef", 6) == "abcdef"
    assert printable("abcdefg", 6) == "abcde…"
    assert printable("abc", 1) == "…"
    assert printable("abc", 0) == ""
