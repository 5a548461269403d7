"""Answers of upstreams, as long as they say they hold. Pure; times are monotonic seconds."""

from collections import OrderedDict

from services.dns.wire.query import Key
from services.dns.wire.reply import Reply

ENTRIES = 1000
BODY_LARGEST = 4096
"""Octets; what is larger is rare, and a thousand of it would be too much memory."""


class Cache:
    """Bounded; what was not asked for longest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, tuple[Reply, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Key, now: float) -> tuple[Reply, int] | None:
        """The reply and its age in whole seconds, while it may be given out."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        reply, since = kept
        if now - since >= reply.lifetime:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return reply, int(now - since)

    def keep(self, key: Key, reply: Reply, now: float) -> None:
        if not reply.lifetime or len(reply.body) > BODY_LARGEST:
            return
        self._kept[key] = (reply, now)
        self._kept.move_to_end(key)
        if len(self._kept) > ENTRIES:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()
