"""Words and variables as a Dockerfile has them (Dockerfile reference, "Environment replacement").

``$name``, ``${name}``, ``${name:-word}`` and ``${name:+word}`` are replaced, not in single quotes
and not after a backslash. What has no value is empty.
"""

import re
from collections.abc import Mapping

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEEPEST = 10


class BadWords(Exception):
    """What is wrong, for a message with the line's number."""


def split(text: str, values: Mapping[str, str] | None = None) -> list[str]:
    """The words of ``text`` without their quotes, variables replaced unless ``values`` is None.

    A replaced value stays in its word. Raises BadWords.
    """
    reader = _Words(text, values)
    return reader.words()


def replaced(text: str, values: Mapping[str, str]) -> str:
    """``text`` as one word, blanks included. Raises BadWords."""
    return _Words(text, values, one=True).words()[0]


class _Words:
    def __init__(
        self, text: str, values: Mapping[str, str] | None, *, one: bool = False, depth: int = 0
    ) -> None:
        self._text = text
        self._values = values
        self._one = one
        self._depth = depth
        self._at = 0

    def words(self) -> list[str]:
        found: list[str] = []
        while True:
            while not self._one and self._peek().isspace():
                self._at += 1
            if not self._one and not self._peek():
                return found
            found.append(self._word())
            if self._one:
                return found

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        letter = self._peek()
        self._at += 1
        return letter

    def _word(self) -> str:
        word: list[str] = []
        while letter := self._peek():
            if letter.isspace() and not self._one:
                break
            word.append(self._piece(quoted=False))
        return "".join(word)

    def _piece(self, *, quoted: bool) -> str:
        letter = self._take()
        if letter == "\\":
            following = self._take()
            return following if not quoted or following in '"\\$' else letter + following
        if letter == "$" and self._values is not None:
            return self._variable()
        if quoted:
            return letter
        if letter == "'":
            return self._until_quote()
        if letter == '"':
            return self._double_quoted()
        return letter

    def _until_quote(self) -> str:
        end = self._text.find("'", self._at)
        if end < 0:
            raise BadWords("a single quote is not closed")
        content, self._at = self._text[self._at : end], end + 1
        return content

    def _double_quoted(self) -> str:
        content: list[str] = []
        while self._peek() != '"':
            if not self._peek():
                raise BadWords("a double quote is not closed")
            content.append(self._piece(quoted=True))
        self._at += 1
        return "".join(content)

    def _variable(self) -> str:
        assert self._values is not None
        if self._peek() == "{":
            return self._in_braces(self._values)
        match = NAME.match(self._text, self._at)
        if not match:
            return "$"
        self._at = match.end()
        return self._values.get(match.group(), "")

    def _in_braces(self, values: Mapping[str, str]) -> str:
        start = self._at + 1
        match = NAME.match(self._text, start)
        end = self._closing(start)
        if not match:
            raise BadWords("${ is not followed by a name")
        value = values.get(match.group(), "")
        rest = self._text[match.end() : end]
        self._at = end + 1
        if not rest:
            return value
        if rest[:2] not in (":-", ":+"):
            raise BadWords("of variables only ${name}, ${name:-word} and ${name:+word} are known")
        if (rest[1] == "+") != bool(value):
            return value if rest[1] == "-" else ""
        if self._depth == _DEEPEST:
            raise BadWords("variables are nested too deep")
        return _Words(rest[2:], values, one=True, depth=self._depth + 1).words()[0]

    def _closing(self, start: int) -> int:
        depth, at = 1, start
        while at < len(self._text):
            depth += {"{": 1, "}": -1}.get(self._text[at], 0)
            if not depth:
                return at
            at += 1
        raise BadWords("${ is not closed")
