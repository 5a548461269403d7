"""The zone: the names and addresses of VMs, and what is true of a name. Pure.

Authoritative for ``vm.`` and for the reverse zones of the VMs' subnets. The zones' own records
follow RFC 6303 (locally served zones): the name server is ``localhost.``, the contact
``nobody.invalid.``. Names are tuples of lower-case labels without the root: ("beta", "vm").
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from services.dns.wire.format import Rcode, Type
from shared.addresses.reverse_zones import reverse_zones

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Name = tuple[str, ...]

TOP: Name = ("vm",)
NAME_SERVER: Name = ("localhost",)
CONTACT: Name = ("nobody", "invalid")

TTL = 1
"""Seconds that a resolver may keep an answer, positive or negative: enough for a burst of lookups,
and short enough that a VM's name appears and disappears with the VM."""


@dataclass(frozen=True)
class Soa:
    """Start of authority of ``zone``. There is no secondary server to use its refresh times."""

    zone: Name
    serial: int


Value = Address | Name | Soa
"""Data of a record: of A or AAAA, of NS or PTR, of SOA."""

ZoneRecord = tuple[Type, Value]


@dataclass(frozen=True)
class ZoneAnswer:
    """What is true of a name. In a negative answer ``authority`` is the zone's SOA, which lets a
    resolver cache it (RFC 2308)."""

    rcode: Rcode
    records: tuple[ZoneRecord, ...] = ()
    authority: Soa | None = None


REFUSED = ZoneAnswer(Rcode.REFUSED)


class Zone:
    """The names at one sequence number of the store; immutable.

    ``hosts`` maps VM names to addresses. The zone has the reverse domains of ``subnets``.
    """

    def __init__(
        self, hosts: Mapping[str, Iterable[Address]], subnets: Iterable[Network], serial: int
    ) -> None:
        self._serial = serial % 2**32
        zones = (zone for subnet in subnets for zone in reverse_zones(subnet))
        self._apexes = frozenset({TOP, *map(_labels, zones)})
        self._names = len(hosts)
        self._records: dict[Name, list[ZoneRecord]] = {}
        for host, addresses in hosts.items():
            name = (host, *TOP)
            for address in addresses:
                kind = Type.A if isinstance(address, IPv4Address) else Type.AAAA
                self._records.setdefault(name, []).append((kind, address))
                self._records[_labels(address.reverse_pointer)] = [(Type.PTR, name)]
        # A name without records exists when a name below it has some (RFC 8020).
        self._above = {name[i:] for name in self._records for i in range(1, len(name))}

    def __len__(self) -> int:
        """The number of names under ``vm.``."""
        return self._names

    def covers(self, name: Name) -> bool:
        """Whether ``name`` (lower case) is in a domain of the zone, whether it exists or not."""
        return self._apex_of(name) is not None

    def lookup(self, name: Name, kind: int) -> ZoneAnswer:
        """What is true of ``name`` (lower case) for query type ``kind``."""
        apex = self._apex_of(name)
        if apex is None:
            return REFUSED
        soa = Soa(apex, self._serial)
        if name == apex:
            found: list[ZoneRecord] = [(Type.SOA, soa), (Type.NS, NAME_SERVER)]
        elif name in self._records:
            found = self._records[name]
        elif name in self._above:
            found = []
        else:
            return ZoneAnswer(Rcode.NXDOMAIN, authority=soa)
        if kind == Type.ANY:
            found = found[:1]  # one record is enough of an answer: RFC 8482 section 4.1
        matching = tuple(record for record in found if kind in (record[0], Type.ANY))
        return ZoneAnswer(Rcode.NOERROR, matching, None if matching else soa)

    def _apex_of(self, name: Name) -> Name | None:
        suffixes = (name[i:] for i in range(len(name)))
        return next((suffix for suffix in suffixes if suffix in self._apexes), None)


def _labels(name: str) -> Name:
    return tuple(name.split("."))
