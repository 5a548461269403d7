"""A patch as people see it."""

import io

import click
import pytest

from cli.terminal.patch_text import LONGEST_LINE, is_harmless, patch_lines

PATCH = """\
diff --git a/x b/x
index 1..2 100644
--- a/x
+++ b/x
@@ -1,3 +1,2 @@ def f():
 same\tas before
--- a comment of SQL
-old
+new
diff --git a/y b/y
@@ -1 +1 @@
-y
+z
\\ No newline at end of file
"""


def shown(patch: str, *, colour: bool = False) -> list[str]:
    return list(patch_lines(io.BytesIO(patch.encode()), colour=colour))


def test_without_colour_it_is_as_it_was() -> None:
    assert "\n".join(shown(PATCH)) + "\n" == PATCH


def test_each_line_has_the_colour_that_its_place_gives_it() -> None:
    painted = dict(zip(PATCH.splitlines(), shown(PATCH, colour=True), strict=True))
    assert painted["--- a/x"] == click.style("--- a/x", bold=True)
    assert painted["--- a comment of SQL"] == click.style("--- a comment of SQL", fg="red")
    assert painted["+new"] == click.style("+new", fg="green")
    assert painted["@@ -1 +1 @@"] == click.style("@@ -1 +1 @@", fg="cyan")
    assert painted[" same\tas before"] == " same\tas before"
    assert painted["diff --git a/y b/y"] == click.style("diff --git a/y b/y", bold=True)
    assert painted["\\ No newline at end of file"].endswith("at end of file\x1b[0m")


def test_nothing_in_it_reaches_the_terminal_as_a_command() -> None:
    assert shown("+\x1b[2J\x9b\u202e\tx\r\n") == ["+\ufffd[2J\ufffd\ufffd\tx"]


def test_a_line_without_end_is_shown_in_pieces() -> None:
    assert [len(line) for line in shown("x" * (2 * LONGEST_LINE + 1))] == [
        LONGEST_LINE,
        LONGEST_LINE,
        1,
    ]


@pytest.mark.parametrize(
    ("content", "harmless"),
    [
        (b"+\ttext gr\xc3\xbcn\r\n", True),
        (b"", True),
        (b"\x1b[2J", False),
        (b"\xff", False),
        (b"a\0b", False),
        ("\u202eabc".encode(), False),
    ],
)
def test_what_a_terminal_may_be_given(content: bytes, harmless: bool) -> None:
    assert is_harmless(io.BytesIO(content)) is harmless
