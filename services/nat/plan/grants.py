"""Addresses that names on guests' egress lists resolved to, kept so that no new ruleset loses them.

The kernel's sets hold the same addresses, with timeouts, and nat reads them back when it starts. An
expired address stays, for open connections, until its entry leaves the list or its VM stops.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from services.nat.plan.state import BridgeGuest, tag_of
from services.nat.ruleset.sets import AllowedAddress
from shared.addresses.outside import is_outside
from shared.errors import BangerError, Code

GRACE_SECONDS = 30
"""How much longer than requested an address is allowed: a guest may use an answer late."""
LONGEST = 86_400
"""Seconds; a longer TTL is reduced to this."""
MOST = 1024
"""Addresses kept for one entry of a list."""
MOST_OF_GUEST = 4 * MOST
"""Addresses kept for all entries of one VM: they use the kernel's memory and nft's time."""


def usable(address: str, subnet: IPv4Network) -> IPv4Address:
    """Raises ``invalid`` for an address that no name of the outside may resolve to."""
    try:
        found = IPv4Address(address)
    except ValueError:
        raise BangerError(Code.INVALID, f"{address!r} is not an IPv4 address") from None
    if not is_outside(found, subnet):
        raise BangerError(Code.INVALID, f"{address} is not an address of the outside")
    return found


@dataclass(frozen=True)
class GrantChange:
    """Addresses to add to the kernel's sets, and those that make room for them."""

    added: tuple[AllowedAddress, ...] = ()
    expired: tuple[AllowedAddress, ...] = ()
    """Expired addresses that are no longer kept."""
    revoked: tuple[AllowedAddress, ...] = ()
    """Those of ``expired`` that no other entry of the VM keeps: open connections to them end."""


class Grants:
    """For each tag its addresses, with the time until which new connections are allowed. Times are
    seconds of CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[IPv4Address, float]] = {}

    def lacking(
        self,
        guest: BridgeGuest,
        name: str,
        addresses: Iterable[IPv4Address],
        seconds: int,
        now: float,
    ) -> GrantChange:
        """The change after which all ``addresses`` are allowed for ``seconds`` from now.

        Raises:
            BangerError: ``denied`` when the name is not on the guest's list, ``unavailable``
                when the entry or the guest would have more addresses than are kept.
        """
        entries = [entry for entry in guest.allow if entry.covers(name)]
        if not entries:
            raise BangerError(Code.DENIED, f"{name!r} is not on the list of VM {guest.id}")
        seconds = min(max(seconds, 0), LONGEST)
        wanted = dict.fromkeys(addresses)
        if len(wanted) * len(entries) > MOST_OF_GUEST:
            raise _too_many(name)
        added: list[AllowedAddress] = []
        for entry in entries:
            tag = tag_of(guest.id, entry)
            known = self._entries.get(tag, {})
            lacking = [a for a in wanted if known.get(a, now) < now + seconds]
            whole = seconds + GRACE_SECONDS
            added += [AllowedAddress(guest.address, a, entry.port, whole, tag) for a in lacking]
        return self._with_room(guest, name, added, now)

    def add(self, change: GrantChange, now: float) -> None:
        """Record that the change is in the kernel's sets."""
        for one in change.expired:
            self._entries.get(one.tag, {}).pop(one.destination, None)
        for one in change.added:
            known = self._entries.setdefault(one.tag, {})
            known[one.destination] = max(known.get(one.destination, now), now + one.seconds)

    def allowed(self, guests: Iterable[BridgeGuest], now: float) -> list[AllowedAddress]:
        """The addresses of these guests' entries. All others are dropped."""
        found: list[AllowedAddress] = []
        kept: dict[str, dict[IPv4Address, float]] = {}
        for guest in guests:
            for entry in guest.names:
                tag = tag_of(guest.id, entry)
                kept[tag] = self._entries.get(tag, {})
                found += [
                    AllowedAddress(
                        guest.address, address, entry.port, max(0, int(until - now)), tag
                    )
                    for address, until in kept[tag].items()
                ]
        self._entries = {tag: known for tag, known in kept.items() if known}
        return found

    def _with_room(
        self, guest: BridgeGuest, name: str, added: list[AllowedAddress], now: float
    ) -> GrantChange:
        """Make room by dropping expired addresses, the oldest first, and never one that is not
        expired."""
        coming = {(one.tag, one.destination) for one in added}
        kept = {tag_of(guest.id, entry): entry.port for entry in guest.names}
        expired = sorted(
            (until, tag, port, address)
            for tag, port in kept.items()
            for address, until in self._entries.get(tag, {}).items()
            if until <= now and (tag, address) not in coming
        )
        sizes = Counter({tag: len(self._entries.get(tag, {})) for tag in kept})
        sizes.update(tag for tag, a in coming if a not in self._entries.get(tag, {}))
        dropped: list[AllowedAddress] = []
        for _, tag, port, address in expired:
            if sizes[tag] > MOST or sizes.total() > MOST_OF_GUEST:
                dropped.append(AllowedAddress(guest.address, address, port, 0, tag))
                sizes[tag] -= 1
        if sizes.total() > MOST_OF_GUEST or any(sizes[tag] > MOST for tag, _ in coming):
            raise _too_many(name)
        return GrantChange(tuple(added), tuple(dropped), self._revoked(kept, added, dropped))

    def _revoked(
        self, kept: Iterable[str], added: list[AllowedAddress], dropped: list[AllowedAddress]
    ) -> tuple[AllowedAddress, ...]:
        forgotten = {(one.tag, one.destination) for one in dropped}
        still = {one.destination for one in added} | {
            address
            for tag in kept
            for address in self._entries.get(tag, {})
            if (tag, address) not in forgotten
        }
        by_address = {one.destination: one for one in dropped}
        return tuple(one for address, one in by_address.items() if address not in still)


def _too_many(name: str) -> BangerError:
    return BangerError(Code.UNAVAILABLE, f"{name} resolves to more addresses than nat keeps")
