"""Addresses that names on guests' lists have led to: kept so that no new ruleset forgets them.

The kernel's sets hold the same, with timeouts; a nat that starts reads them back. An address whose
time is over stays, for connections that are open, until its entry leaves the list or its VM goes.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from services.nat.plan.state import Guest, tag_of
from services.nat.ruleset.sets import Live
from shared.addresses.subnet import is_outside
from shared.errors import BangerError, Code

GRACE_SECONDS = 30
"""An address is allowed for so much longer than asked for: who got it late may use it late."""
LONGEST = 86_400
"""Seconds; a longer TTL is taken for this."""
MOST = 1024
"""Addresses remembered for one entry of a list."""
MOST_OF_GUEST = 4 * MOST
"""The same for all entries of one VM: it is the kernel's memory, and a transaction for nft."""


def usable(address: str, subnet: IPv4Network) -> IPv4Address:
    """Raises ``invalid`` for what no name of the outside may lead a guest to."""
    try:
        found = IPv4Address(address)
    except ValueError:
        raise BangerError(Code.INVALID, f"{address!r} is no IPv4 address") from None
    if not is_outside(found, subnet):
        raise BangerError(Code.INVALID, f"{address} is no address outside")
    return found


@dataclass(frozen=True)
class Change:
    """What has to come into the kernel's sets, and what is forgotten to make room for it."""

    live: tuple[Live, ...] = ()
    over: tuple[Live, ...] = ()
    """Addresses whose time is over."""
    unspoken: tuple[Live, ...] = ()
    """Those of ``over`` that no other entry of the VM keeps: open connections to them end."""


class Grants:
    """By tag: each address and until when new connections to it may begin. Times are seconds of
    CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[IPv4Address, float]] = {}

    def lacking(
        self, guest: Guest, name: str, addresses: Iterable[IPv4Address], seconds: int, now: float
    ) -> Change:
        """The change after which all are there for ``seconds`` from now.

        Raises:
            BangerError: ``denied`` when the name is not on the guest's list, ``unavailable``
                when an entry, or the guest, has been led to more addresses than are kept.
        """
        entries = [entry for entry in guest.allow if entry.covers(name)]
        if not entries:
            raise BangerError(Code.DENIED, f"{name!r} is not on the list of VM {guest.id}")
        seconds = min(max(seconds, 0), LONGEST)
        wanted = dict.fromkeys(addresses)
        if len(wanted) * len(entries) > MOST_OF_GUEST:
            raise _too_many(name)
        live: list[Live] = []
        for entry in entries:
            tag = tag_of(guest.id, entry)
            known = self._entries.get(tag, {})
            late = [a for a in wanted if known.get(a, now) < now + seconds]
            whole = seconds + GRACE_SECONDS
            live += [Live(guest.address, a, entry.port, whole, tag) for a in late]
        return self._with_room(guest, name, live, now)

    def add(self, change: Change, now: float) -> None:
        """This is in the kernel's sets now: just put there, or found there at the start."""
        for one in change.over:
            self._entries.get(one.tag, {}).pop(one.destination, None)
        for one in change.live:
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

    def _with_room(self, guest: Guest, name: str, live: list[Live], now: float) -> Change:
        """Forget what is over, the oldest first; what is not over is never taken away early."""
        coming = {(one.tag, one.destination) for one in live}
        kept = {tag_of(guest.id, entry): entry.port for entry in guest.names}
        over = sorted(
            (until, tag, port, address)
            for tag, port in kept.items()
            for address, until in self._entries.get(tag, {}).items()
            if until <= now and (tag, address) not in coming
        )
        sizes = Counter({tag: len(self._entries.get(tag, {})) for tag in kept})
        sizes.update(tag for tag, a in coming if a not in self._entries.get(tag, {}))
        gone: list[Live] = []
        for _, tag, port, address in over:
            if sizes[tag] > MOST or sizes.total() > MOST_OF_GUEST:
                gone.append(Live(guest.address, address, port, 0, tag))
                sizes[tag] -= 1
        if sizes.total() > MOST_OF_GUEST or any(sizes[tag] > MOST for tag, _ in coming):
            raise _too_many(name)
        return Change(tuple(live), tuple(gone), self._unspoken(kept, live, gone))

    def _unspoken(
        self, kept: Iterable[str], live: list[Live], gone: list[Live]
    ) -> tuple[Live, ...]:
        forgotten = {(one.tag, one.destination) for one in gone}
        still = {one.destination for one in live} | {
            address
            for tag in kept
            for address in self._entries.get(tag, {})
            if (tag, address) not in forgotten
        }
        by_address = {one.destination: one for one in gone}
        return tuple(one for address, one in by_address.items() if address not in still)


def _too_many(name: str) -> BangerError:
    return BangerError(Code.UNAVAILABLE, f"{name} leads to more addresses than are kept")
