"""A guest's console on a terminal: nothing in it is obeyed, wherever the pieces are cut."""

import pytest

from cli.terminal.console_text import LONGEST, ConsoleText

CASES = [
    (b"plain\r\ntext\tand more\n", "plain\ntext\tand more\n"),
    (b"[ \x1b[0;32m  OK  \x1b[0m ] Started\n", "[   OK   ] Started\n"),
    (b"\x1b]52;c;ZXZpbA==\x07done\n", "done\n"),
    (b"\x1b]0;title\x1b\\done\n", "done\n"),
    (b"\x1b[6n\x1b[2J\x1b[1;1H\x1b(B\x1b=x\n", "x\n"),
    (b"\xc2\x9b31mred\n", "�31mred\n"),  # CSI as one C1 control
    ("‮evil⁦\n".encode(), "�evil�\n"),
    (b"\x07\x08\x7f\n", "���\n"),
    (b"over\rwritten\n", "over written\n"),
    (b"\xff\xfe caf\xc3\xa9\n", "�� café\n"),
    (b"\x1bPq unknown\n", "�Pq unknown\n"),
    (b"cut \x1b[3", "cut �[3"),
]


@pytest.mark.parametrize(("said", "shown"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_terminal_only_prints_it(said: bytes, shown: str, size: int) -> None:
    text = ConsoleText()
    pieces = [text.feed(said[at : at + size]) for at in range(0, len(said), size)]
    assert "".join([*pieces, text.rest()]) == shown


def test_a_sequence_that_never_ends_holds_nothing_back() -> None:
    text = ConsoleText()
    shown = text.feed(b"\x1b]52;" + b"A" * 10 * LONGEST)
    shown += text.feed(b"\nlogin: ")
    assert shown.startswith("�]52;AAA")
    assert shown.endswith("A\nlogin: ")
