"""The zone: which names and addresses there are, and what is true of a name. Pure, no wire.

Authoritative for ``vm.`` and for the reverse zones of the VMs' subnets. The zones' own records
follow RFC 6303 (locally served zones): the name server is ``localhost.``, the contact
``nobody.invalid.``. Names are tuples of lower-case labels without the root: ("beta", "vm").
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network

Name = tuple[str, ...]

TOP: Name = ("vm",)
NAME_SERVER: Name = ("localhost",)
CONTACT: Name = ("nobody", "invalid")

TTL = 1
"""Seconds a resolver may keep an answer, positive or negative: enough for a burst of lookups,
short enough that a VM's name comes and goes with the VM."""


class Type(IntEnum):
    """Record types this zone has, and ANY (RFC 1035 section 3.2)."""

    A = 1
    NS = 2
    SOA = 6
    PTR = 12
    ANY = 255


class Rcode(IntEnum):
    """RFC 1035 section 4.1.1."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


@dataclass(frozen=True)
class Soa:
    """Start of authority of ``zone``; the refresh times concern nobody, there is no secondary."""

    zone: Name
    serial: int


Value = IPv4Address | Name | Soa
"""Data of a record: of A, of NS or PTR, of SOA."""


@dataclass(frozen=True)
class Answer:
    """What is true of a name. ``authority`` is the zone's SOA where the answer is negative
    (RFC 2308), which is what lets a resolver remember that."""

    rcode: Rcode
    records: tuple[tuple[Type, Value], ...] = ()
    authority: Soa | None = None


REFUSED = Answer(Rcode.REFUSED)


class Zone:
    """An immutable picture of the names at one sequence number of the store.

    ``hosts`` maps VM names to addresses; ``subnets`` are those whose reverse lookup is ours.
    """

    def __init__(
        self, hosts: Mapping[str, IPv4Address], subnets: Iterable[IPv4Network], serial: int
    ) -> None:
        self._serial = serial % 2**32
        self._apexes = frozenset({TOP, *(apex for s in subnets for apex in reverse_zones(s))})
        forward = {(name, *TOP): (Type.A, address) for name, address in hosts.items()}
        backward = {_reverse(a): (Type.PTR, (name, *TOP)) for name, a in hosts.items()}
        self._records: dict[Name, tuple[Type, Value]] = {**forward, **backward}
        # Names that have no record but lie above one that has exist all the same (RFC 8020).
        self._above = {name[i:] for name in self._records for i in range(1, len(name))}

    def __len__(self) -> int:
        """The number of names under ``vm.``."""
        return sum(1 for kind, _ in self._records.values() if kind is Type.A)

    def lookup(self, name: Name, kind: int) -> Answer:
        """What is true of ``name`` (lower case) for query type ``kind``."""
        apex = self._apex_of(name)
        if apex is None:
            return REFUSED
        soa = Soa(apex, self._serial)
        if name == apex:
            found: list[tuple[Type, Value]] = [(Type.SOA, soa), (Type.NS, NAME_SERVER)]
        elif name in self._records:
            found = [self._records[name]]
        elif name in self._above:
            found = []
        else:
            return Answer(Rcode.NXDOMAIN, authority=soa)
        matching = tuple(record for record in found if kind in (record[0], Type.ANY))
        return Answer(Rcode.NOERROR, matching, None if matching else soa)

    def _apex_of(self, name: Name) -> Name | None:
        suffixes = (name[i:] for i in range(len(name)))
        return next((suffix for suffix in suffixes if suffix in self._apexes), None)


def reverse_zones(subnet: IPv4Network) -> list[Name]:
    """The in-addr.arpa zones that cover ``subnet``, cut at whole octets.

    A subnet longer than /24 gets the zone of its /24: classless delegation (RFC 2317) needs a
    parent that delegates, and a loopback server has none.
    """
    octets = min(3, -(-subnet.prefixlen // 8))
    wanted = octets * 8
    if subnet.prefixlen > wanted:
        parts = [subnet.supernet(new_prefix=wanted)]
    else:
        parts = list(subnet.subnets(new_prefix=wanted))
    return [_reverse(part.network_address)[4 - octets :] for part in parts]


def _reverse(address: IPv4Address) -> Name:
    return tuple(address.reverse_pointer.split("."))
