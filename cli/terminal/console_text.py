"""What a guest writes on its console, as text that a terminal only prints.

A terminal obeys escape sequences: they set its title, write to the clipboard, or ask it for answers
that arrive as if typed (ECMA-48, xterm's control sequences). Colours and cursor movements are
taken out, whole; what else is not printable becomes U+FFFD. Line breaks and tabs stay.
"""

import codecs
import re

from shared.plain_text import printable

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # OSC: title, clipboard
    r"|\x1b[ -/]+[0-~]"  # character sets
    r"|\x1b[=>78cDEHMNOZ]"
)
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b\n]*\x1b?|[ -/]*)$|\r$")
"""The beginning of a sequence, or of a line's end, at the end of what has come so far."""
LONGEST = 256
"""Characters of a sequence that is waited for."""


class ConsoleText:
    """Bytes in, text out. A sequence or a character may come in several pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""

    def feed(self, data: bytes) -> str:
        """What can be shown now."""
        text = self._begun + self._decoder.decode(data)
        begun = _BEGUN.search(text, max(0, len(text) - LONGEST))
        end = begun.start() if begun else len(text)
        text, self._begun = text[:end], text[end:]
        return _shown(text)

    def rest(self) -> str:
        """What was waiting for its end."""
        text = self._begun + self._decoder.decode(b"", final=True)
        self._begun = ""
        return _shown(text)


def _shown(text: str) -> str:
    text = _SEQUENCE.sub("", text).replace("\r\n", "\n")
    return "\n".join(
        "\t".join(printable(cell) for cell in line.split("\t")) for line in text.split("\n")
    )
