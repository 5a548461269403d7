"""Text of others as one line that a terminal only prints.

A guest, a foreign process or a file may say anything: escape sequences that a terminal obeys,
characters that turn the direction of writing, a line break that forges another line, bytes that are
no UTF-8, and as much of it as there is room for. Such text is passed through ``printable`` where it
enters, with a limit, and where it leaves for a terminal.
"""

ELLIPSIS = "…"
_BLANKS = str.maketrans(dict.fromkeys("\t\n\v\f\r\x85\u2028\u2029", " "))


def printable(text: str, limit: int | None = None) -> str:
    """``text`` as one line of at most ``limit`` characters, an ellipsis at its end when it is cut.

    Line breaks and tabs become spaces. What ``str.isprintable`` refuses becomes U+FFFD: control and
    format characters, lone surrogates (bytes that were no UTF-8), unassigned code points.
    """
    if limit is not None and len(text) > limit:
        text = text[: max(0, limit - 1)] + ELLIPSIS[:limit]
    if text.isprintable():
        return text
    text = text.translate(_BLANKS)
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
