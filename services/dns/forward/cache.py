"""Replies of upstreams, for as long as they are valid. Pure; times are monotonic seconds."""

from collections import OrderedDict

from services.dns.wire.query import QuestionKey
from services.dns.wire.reply import Reply

ENTRIES = 1000
BODY_LARGEST = 4096
"""Octets; larger replies are rare, and a thousand of them would need too much memory."""


class ReplyCache:
    """Bounded; the entry that was not used for the longest time is removed first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[QuestionKey, tuple[Reply, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: QuestionKey, now: float) -> tuple[Reply, int] | None:
        """The reply and its age in whole seconds, while it is valid."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        reply, since = kept
        if now - since >= reply.lifetime:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return reply, int(now - since)

    def keep(self, key: QuestionKey, reply: Reply, now: float) -> None:
        if not reply.lifetime or len(reply.body) > BODY_LARGEST:
            return
        self._kept[key] = (reply, now)
        self._kept.move_to_end(key)
        if len(self._kept) > ENTRIES:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()
