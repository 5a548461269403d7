"""A patch for people: each line harmless for a terminal, and in git's colours if it may be."""

import re
from collections.abc import Iterator
from typing import BinaryIO

import click

from shared.plain_text import printable

LONGEST_LINE = 1 << 16
"""Bytes; a longer line is shown in pieces."""

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


def patch_lines(patch: BinaryIO, *, colour: bool) -> Iterator[str]:
    """The lines of ``patch`` from its beginning. A tab stays one."""
    paint = _Paint() if colour else None
    patch.seek(0)
    for text in _texts(patch):
        shown = "\t".join(map(printable, text.split("\t")))
        yield paint(shown) if paint else shown


def is_harmless(patch: BinaryIO) -> bool:
    """Whether a terminal only prints it: UTF-8 without control characters."""
    patch.seek(0)
    try:
        return all(
            piece.isprintable()
            for raw in iter(lambda: patch.readline(LONGEST_LINE), b"")
            for piece in raw.decode().rstrip("\r\n").split("\t")
        )
    except UnicodeDecodeError:
        return False


def _texts(patch: BinaryIO) -> Iterator[str]:
    while raw := patch.readline(LONGEST_LINE):
        yield raw.decode(errors="replace").rstrip("\r\n")


class _Paint:
    """A line of a hunk has the colour of its first character, any other is part of a header. The
    hunk says how many lines it has, so that a removed line "-- x" is no header."""

    def __init__(self) -> None:
        self._old = self._new = 0

    def __call__(self, line: str) -> str:
        if self._old > 0 or self._new > 0:
            return self._of_hunk(line)
        if hunk := _HUNK.match(line):
            self._old, self._new = (int(count or 1) for count in hunk.groups())
            return click.style(line, fg="cyan")
        return click.style(line, bold=True)

    def _of_hunk(self, line: str) -> str:
        match line[:1]:
            case "+":
                self._new -= 1
                return click.style(line, fg="green")
            case "-":
                self._old -= 1
                return click.style(line, fg="red")
            case "\\":
                return line
        self._old -= 1
        self._new -= 1
        return line
