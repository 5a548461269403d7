"""Peers that send undecodable messages, and when the broker ignores them. Pure."""

from dataclasses import dataclass

LIMIT, WINDOW = 64, 60.0
"""A peer with this many undecodable messages in this many seconds is ignored."""
REMEMBERED = 4096
"""Peers at most: a process can connect under any number of names."""


@dataclass(slots=True)
class _Offences:
    count: int
    since: float


class Offenders:
    """Counts undecodable messages by peer. Times are CLOCK_MONOTONIC seconds, passed in."""

    def __init__(self) -> None:
        self.messages = 0
        """Undecodable messages of all peers since the start."""
        self._peers: dict[bytes, _Offences] = {}

    def add(self, peer: bytes, now: float) -> None:
        """Count a message of ``peer`` that could not be decoded."""
        self.messages += 1
        self._peers.setdefault(peer, _Offences(0, now)).count += 1
        if len(self._peers) > REMEMBERED:
            del self._peers[next(iter(self._peers))]

    def shut_out(self, peer: bytes, now: float) -> bool:
        """Whether messages of ``peer`` are ignored now."""
        bad = self._peers.get(peer)
        return bad is not None and bad.count >= LIMIT and now - bad.since < WINDOW

    def forget_old(self, now: float) -> None:
        """Forget peers whose window is over."""
        self._peers = {p: bad for p, bad in self._peers.items() if now - bad.since < WINDOW}
