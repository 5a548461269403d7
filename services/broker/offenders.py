"""Peers that send what cannot be decoded, and when they are not listened to any more. Pure."""

from dataclasses import dataclass

LIMIT, WINDOW = 64, 60.0
"""A peer with this many undecodable messages in this many seconds is not listened to."""
REMEMBERED = 4096
"""Peers at most: a peer's name costs whoever makes one up nothing."""


@dataclass(slots=True)
class _Offences:
    count: int
    since: float


class Offenders:
    """Times are CLOCK_MONOTONIC seconds, handed in."""

    def __init__(self) -> None:
        self.messages = 0
        """Undecodable ones of all peers, ever."""
        self._peers: dict[bytes, _Offences] = {}

    def add(self, peer: bytes, now: float) -> None:
        """One more message of ``peer`` that could not be decoded."""
        self.messages += 1
        self._peers.setdefault(peer, _Offences(0, now)).count += 1
        if len(self._peers) > REMEMBERED:
            del self._peers[next(iter(self._peers))]

    def shut_out(self, peer: bytes, now: float) -> bool:
        """Whether what ``peer`` sends now is not even looked at."""
        bad = self._peers.get(peer)
        return bad is not None and bad.count >= LIMIT and now - bad.since < WINDOW

    def forget_old(self, now: float) -> None:
        """Peers whose window is over begin anew."""
        self._peers = {p: bad for p, bad in self._peers.items() if now - bad.since < WINDOW}
