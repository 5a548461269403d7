"""Answers that were given before: the same question of the same zone has the same octets.

Reading and writing a message by dnslib takes some 150 times as long as finding it here.
"""

from services.dns.wire.format import AA

ENTRIES = 1024
QUESTION_LARGEST = 512
"""Octets; a longer query is no question that anybody repeats."""

_ID = 2
"""Octets of the id, which is all that differs between two askers of the same."""
_FLAGS_HIGH = 2
"""Offset of the octet that holds AA."""


class Memo:
    """Bounded; the oldest entry goes first. For one zone: ``clear`` it when that changes."""

    def __init__(self) -> None:
        self._answers: dict[tuple[bytes, bool], bytes] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, packet: bytes, *, tcp: bool) -> bytes | None:
        """The whole answer to ``packet``, with its id, or None."""
        rest = self._answers.get((packet[_ID:], tcp))
        return None if rest is None else packet[:_ID] + rest

    def keep(self, packet: bytes, answer: bytes, *, tcp: bool) -> None:
        """Remember ``answer`` if it is one of authority: others say nothing of the zone."""
        if len(packet) > QUESTION_LARGEST or not answer[_FLAGS_HIGH] & AA >> 8:
            return
        if len(self._answers) >= ENTRIES:
            del self._answers[next(iter(self._answers))]
        self._answers[packet[_ID:], tcp] = answer[_ID:]

    def clear(self) -> None:
        self._answers.clear()
