"""The zone: which names and addresses there are, and what is true of a name. Pure, no wire.

Authoritative for ``vm.`` and for the reverse zones of the VMs' subnets. The zones' own records
follow RFC 6303 (locally served zones): the name server is ``localhost.``, the contact
``nobody.invalid.``. Names are tuples of lower-case labels without the root: ("beta", "vm").
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from shared.addresses.reverse_zones import reverse_zones

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
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
    AAAA = 28
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


Value = Address | Name | Soa
"""Data of a record: of A or AAAA, of NS or PTR, of SOA."""

Record = tuple[Type, Value]


@dataclass(frozen=True)
class Answer:
    """What is true of a name. ``authority`` is the zone's SOA where the answer is negative
    (RFC 2308), which is what lets a resolver remember that."""

    rcode: Rcode
    records: tuple[Record, ...] = ()
    authority: Soa | None = None


REFUSED = Answer(Rcode.REFUSED)


class Zone:
    """An immutable picture of the names at one sequence number of the store.

    ``hosts`` maps VM names to addresses; ``subnets`` are those whose reverse lookup is ours.
    """

    def __init__(
        self, hosts: Mapping[str, Iterable[Address]], subnets: Iterable[Network], serial: int
    ) -> None:
        self._serial = serial % 2**32
        zones = (zone for subnet in subnets for zone in reverse_zones(subnet))
        self._apexes = frozenset({TOP, *map(_labels, zones)})
        self._names = len(hosts)
        self._records: dict[Name, list[Record]] = {}
        for host, addresses in hosts.items():
            name = (host, *TOP)
            for address in addresses:
                kind = Type.A if isinstance(address, IPv4Address) else Type.AAAA
                self._records.setdefault(name, []).append((kind, address))
                self._records[_labels(address.reverse_pointer)] = [(Type.PTR, name)]
        # Names that have no record but lie above one that has exist all the same (RFC 8020).
        self._above = {name[i:] for name in self._records for i in range(1, len(name))}

    def __len__(self) -> int:
        """The number of names under ``vm.``."""
        return self._names

    def covers(self, name: Name) -> bool:
        """Whether ``name`` (lower case) is ours to answer, be it there or not."""
        return self._apex_of(name) is not None

    def lookup(self, name: Name, kind: int) -> Answer:
        """What is true of ``name`` (lower case) for query type ``kind``."""
        apex = self._apex_of(name)
        if apex is None:
            return REFUSED
        soa = Soa(apex, self._serial)
        if name == apex:
            found: list[Record] = [(Type.SOA, soa), (Type.NS, NAME_SERVER)]
        elif name in self._records:
            found = self._records[name]
        elif name in self._above:
            found = []
        else:
            return Answer(Rcode.NXDOMAIN, authority=soa)
        if kind == Type.ANY:
            found = found[:1]  # one of them, which ends the question too: RFC 8482 section 4.1
        matching = tuple(record for record in found if kind in (record[0], Type.ANY))
        return Answer(Rcode.NOERROR, matching, None if matching else soa)

    def _apex_of(self, name: Name) -> Name | None:
        suffixes = (name[i:] for i in range(len(name)))
        return next((suffix for suffix in suffixes if suffix in self._apexes), None)


def _labels(name: str) -> Name:
    return tuple(name.split("."))
