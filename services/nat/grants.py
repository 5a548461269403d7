"""Addresses that names on guests' lists have led to: kept so that no new ruleset forgets them.

The kernel's sets hold the same, with timeouts; a nat that starts reads them back. An address whose
time is over stays, for connections that are open, until its entry leaves the list or its VM goes.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from services.nat.sets import Live
from services.nat.state import Guest, tag_of
from shared.errors import BangerError, Code
from shared.subnet import is_outside

GRACE_SECONDS = 30
"""An address is allowed for so much longer than asked for: who got it late may use it late."""
LONGEST = 86_400
"""Seconds; a longer TTL is taken for this."""
MOST = 1024
"""Addresses remembered for one entry of a list."""


def usable(address: str, subnet: IPv4Network) -> IPv4Address:
    """Raises ``invalid`` for what no name of the outside may lead a guest to."""
    try:
        found = IPv4Address(address)
    except ValueError:
        raise BangerError(Code.INVALID, f"{address!r} is no IPv4 address") from None
    if not is_outside(found, subnet):
        raise BangerError(Code.INVALID, f"{address} is no address outside")
    return found


class Grants:
    """By tag: each address and until when new connections to it may begin. Times are seconds of
    CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[IPv4Address, float]] = {}

    def lacking(
        self, guest: Guest, name: str, addresses: Iterable[IPv4Address], seconds: int, now: float
    ) -> list[Live]:
        """What has to come into the kernel's sets so that all are there for ``seconds`` from now.

        Raises:
            BangerError: ``denied`` when the name is not on the guest's list, ``unavailable``
                when an entry has led to more addresses than are kept.
        """
        entries = [entry for entry in guest.allow if entry.covers(name)]
        if not entries:
            raise BangerError(Code.DENIED, f"{name!r} is not on the list of VM {guest.id}")
        seconds = min(max(seconds, 0), LONGEST)
        live = []
        for entry in entries:
            tag = tag_of(guest.id, entry)
            known = self._entries.get(tag, {})
            late = [a for a in dict.fromkeys(addresses) if known.get(a, now) < now + seconds]
            self._make_room(entry.name, known, late, now)
            whole = seconds + GRACE_SECONDS
            live += [Live(guest.address, a, entry.port, whole, tag) for a in late]
        return live

    def add(self, live: Iterable[Live], now: float) -> None:
        """These are in the kernel's sets now: just put there, or found there at the start."""
        for one in live:
            known = self._entries.setdefault(one.tag, {})
            known[one.destination] = max(known.get(one.destination, now), now + one.seconds)

    def live(self, guests: Iterable[Guest], now: float) -> list[Live]:
        """What these guests' lists allow now. Everything else is forgotten."""
        found: list[Live] = []
        kept: dict[str, dict[IPv4Address, float]] = {}
        for guest in guests:
            for entry in guest.names:
                tag = tag_of(guest.id, entry)
                kept[tag] = self._entries.get(tag, {})
                found += [
                    Live(guest.address, address, entry.port, max(0, int(until - now)), tag)
                    for address, until in kept[tag].items()
                ]
        self._entries = {tag: known for tag, known in kept.items() if known}
        return found

    def _make_room(
        self, name: str, known: dict[IPv4Address, float], new: list[IPv4Address], now: float
    ) -> None:
        """Forget what is over, the oldest first; what is not over is never taken away early."""
        over = sorted((until, address) for address, until in known.items() if until <= now)
        surplus = len(known.keys() | set(new)) - MOST
        if surplus > len(over):
            raise BangerError(Code.UNAVAILABLE, f"{name} has led to {len(known)} addresses")
        for _, address in over[: max(0, surplus)]:
            del known[address]
