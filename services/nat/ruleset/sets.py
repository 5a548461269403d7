"""What each guest may do, as elements of the sets and maps in banger's tables. Pure.

An interval set with concatenated keys refuses overlapping elements, and one refused element makes
the whole transaction fail (nft_set_pipapo in the kernel). So entries with a port and entries
without are in different sets, and overlapping networks of one guest are merged.

Addresses that are not globally routable are in ``special``. Of these a guest reaches what is in
``literal`` and ``literal_services``, and nothing that another set has.

Names are different: their addresses come and go with DNS answers (grants.py). While new connections
to an address are allowed, it is in ``named`` or ``named_services``, with a timeout. While open
connections to it may continue, it is in ``established``. The comment of such an element is the tag
of its egress entry, by which a restarted nat recognizes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, collapse_addresses
from typing import Any

from shared.addresses.outside import SPECIAL, is_special
from shared.contract.messages.vm import Publication

EVERYWHERE = "0.0.0.0"

_OLD_ESTABLISHED = "spoken"
"""The name of ``established`` in tables that an earlier build loaded. The first pass after an
upgrade replaces such tables and carries the addresses over, so that no connection ends."""

_ASKING = """\
\tset asking {
\t\ttype ipv4_addr
\t\tsize 65535
\t\tflags dynamic,timeout
\t\ttimeout 1m
\t}
"""
"""Filled by the kernel: how many packets each guest has sent to the host lately."""

_CONNECTED = """\
\tset connected {
\t\ttype ipv4_addr
\t\tsize 65535
\t\tflags dynamic
\t}
"""
"""Filled by the kernel: the connections that each guest has opened. An element disappears with the
last of them."""

Destination = tuple[int, IPv4Network]
"""A port, 0 for every port and protocol, and a network."""


@dataclass(frozen=True)
class Member:
    """What binds a tap to its guest, and what the guest may reach. All values are checked already.

    ``outside`` holds the networks on its egress list, ``guests`` the other guests on it; ``tags``
    stand for the entries that are names of the outside.
    """

    tap: str
    mac: str
    address: IPv4Address
    nat: bool
    outside: tuple[Destination, ...] = ()
    guests: tuple[Destination, ...] = ()
    tags: tuple[str, ...] = ()
    publish: tuple[Publication, ...] = ()
    addresses6: tuple[IPv6Address, ...] = ()
    """Its IPv6 addresses, including the link-local one; empty where guests have no IPv6."""

    @property
    def literal(self) -> tuple[Destination, ...]:
        """The networks on its list that are not globally routable."""
        return tuple(each for each in self.outside if is_special(each[1]))

    @property
    def listed(self) -> bool:
        return bool(self.outside or self.tags) and not self.nat


@dataclass(frozen=True)
class AllowedAddress:
    """An address that ``source`` may reach because a name on its egress list resolved to it.

    ``port`` 0 is every port and protocol. New connections are allowed for ``seconds`` more; with 0
    only open connections continue.
    """

    source: IPv4Address
    destination: IPv4Address
    port: int
    seconds: int
    tag: str


def inet_sets(members: Sequence[Member], allowed: Iterable[AllowedAddress]) -> str:
    """All sets and maps of ``table inet``, with their elements."""
    outside = [
        (m.address, destination) for m in members if m.listed for destination in _merged(m.outside)
    ]
    literal = [(m.address, destination) for m in members for destination in _merged(m.literal)]
    guests = [(m.address, destination) for m in members for destination in _merged(m.guests)]
    published = [element for m in members for element in _published(m)]
    everywhere = [element for m in members for element in _published_everywhere(m)]
    reached = [element for m in members for element in _reached(m)]
    target, pair = "ipv4_addr . inet_service", "ipv4_addr . ipv4_addr"
    return "".join(
        (
            _taps(members),
            _ASKING,
            _CONNECTED,
            _block("set", "special", "ipv4_addr", list(map(str, SPECIAL)), "interval"),
            _block("set", "literal", pair, _pairs(literal), "interval"),
            _block(
                "set", "literal_services", f"ipv4_addr . {target}", _triples(literal), "interval"
            ),
            _block("set", "themselves", pair, [f"{m.address} . {m.address}" for m in members]),
            _block("set", "nat", "ipv4_addr", [str(m.address) for m in members if m.nat]),
            _block("set", "listed", "ipv4_addr", [str(m.address) for m in members if m.listed]),
            _block("set", "networks", pair, _pairs(outside), "interval"),
            _block("set", "services", f"ipv4_addr . {target}", _triples(outside), "interval"),
            _block("set", "guests", pair, _pairs(guests), "interval"),
            _block("set", "guest_services", f"ipv4_addr . {target}", _triples(guests), "interval"),
            _name_sets(list(allowed)),
            _block("set", "reached", f"inet_proto . {target}", reached),
            _block("map", "published", f"inet_proto . {target} : {target}", published),
            _block("map", "everywhere", f"inet_proto . inet_service : {target}", everywhere),
        )
    )


def bridge_sets(members: Sequence[Member], cut_off: Iterable[str] = ()) -> str:
    """All sets of ``table bridge``, with their elements, and a counter for each tap. The taps
    ``cut_off`` are in no set but ``silenced``."""
    counters = "".join(f"\tcounter {m.tap} {{ }}\n" for m in members)
    spoof_counters = [f'"{m.tap}" : "{m.tap}"' for m in members]
    return counters + "".join(
        (
            _block("map", "spoof_counters", "ifname : counter", spoof_counters),
            _taps(members),
            _block("set", "silenced", "ifname", [f'"{tap}"' for tap in sorted(cut_off)]),
            _block("set", "macs", "ifname . ether_addr", [f'"{m.tap}" . {m.mac}' for m in members]),
            _block(
                "set",
                "addresses",
                "ifname . ipv4_addr",
                [f'"{m.tap}" . {m.address}' for m in members],
            ),
            _block(
                "set",
                "senders",
                "ifname . ether_addr . ipv4_addr",
                [f'"{m.tap}" . {m.mac} . {m.address}' for m in members],
            ),
            _block(
                "set",
                "addresses6",
                "ifname . ipv6_addr",
                [f'"{m.tap}" . {address}' for m in members for address in m.addresses6],
            ),
        )
    )


def additions(
    table: str, added: Iterable[AllowedAddress], revoked: Iterable[AllowedAddress] = ()
) -> str:
    """A transaction that adds the elements of ``added`` to the loaded sets, with their timeouts
    counted from now, and removes those of ``revoked`` from ``established``.

    Adding an element that exists does not change its timeout, and deleting one that does not exist
    is an error. So each is added, deleted and added again; within a transaction no packet sees it
    missing.
    """
    lines = []
    for one in revoked:
        there = f"element {table} established {{ {_pair(one)} }}"
        lines += [f"add {there}", f"delete {there}"]
    for one in added:
        where, key = _named(one)
        new = f"{key} timeout {one.seconds}s {_comment(one)}"
        lines += [
            f"add element {table} {where} {{ {new} }}",
            f"delete element {table} {where} {{ {key} }}",
            f"add element {table} {where} {{ {new} }}",
            f"add element {table} established {{ {_pair(one)} {_comment(one)} }}",
        ]
    return "\n".join(lines) + "\n"


def read_allowed(sets: Iterable[Mapping[str, Any]]) -> list[AllowedAddress]:
    """The addresses in the loaded sets, given as ``nft -j`` shows them. Other sets are ignored."""
    return [
        _read_element(element["elem"])
        for one in sets
        if one["name"] in ("named", "named_services", "established", _OLD_ESTABLISHED)
        for element in one.get("elem", [])
        if "comment" in element.get("elem", {})
    ]


def _read_element(element: Mapping[str, Any]) -> AllowedAddress:
    source, destination, *port = element["val"]["concat"]
    seconds = int(element.get("expires", 0))
    return AllowedAddress(
        IPv4Address(source),
        IPv4Address(destination),
        int(port[0]) if port else 0,
        seconds,
        str(element["comment"]),
    )


def _name_sets(allowed: Sequence[AllowedAddress]) -> str:
    elements: dict[str, dict[str, AllowedAddress]] = {
        "named": {},
        "named_services": {},
        "established": {},
    }
    for one in sorted(allowed, key=lambda one: one.seconds):  # of duplicates, the longest stays
        elements["established"][_pair(one)] = one
        if one.seconds > 0:
            where, key = _named(one)
            elements[where][key] = one
    established = [f"{key} {_comment(one)}" for key, one in elements["established"].items()]
    pair = "ipv4_addr . ipv4_addr"
    return (
        _block("set", "named", pair, _timed(elements["named"]), "timeout")
        + _block(
            "set",
            "named_services",
            f"{pair} . inet_service",
            _timed(elements["named_services"]),
            "timeout",
        )
        + _block("set", "established", pair, established)
    )


def _taps(members: Sequence[Member]) -> str:
    return _block("set", "taps", "ifname", [f'"{m.tap}"' for m in members])


def _timed(elements: dict[str, AllowedAddress]) -> list[str]:
    return [f"{key} timeout {one.seconds}s {_comment(one)}" for key, one in elements.items()]


def _named(one: AllowedAddress) -> tuple[str, str]:
    if one.port:
        return "named_services", f"{_pair(one)} . {one.port}"
    return "named", _pair(one)


def _pair(one: AllowedAddress) -> str:
    return f"{one.source} . {one.destination}"


def _comment(one: AllowedAddress) -> str:
    return f'comment "{one.tag}"'


def _merged(destinations: Iterable[Destination]) -> list[Destination]:
    """The same destinations, without overlapping networks for one port."""
    by_port: dict[int, list[IPv4Network]] = {}
    for port, network in destinations:
        by_port.setdefault(port, []).append(network)
    return [(port, net) for port in sorted(by_port) for net in collapse_addresses(by_port[port])]


def _pairs(destinations: Iterable[tuple[IPv4Address, Destination]]) -> list[str]:
    return [f"{source} . {network}" for source, (port, network) in destinations if port == 0]


def _triples(destinations: Iterable[tuple[IPv4Address, Destination]]) -> list[str]:
    return [f"{source} . {network} . {port}" for source, (port, network) in destinations if port]


def _published(member: Member) -> list[str]:
    return [
        f"{p.protocol} . {p.host_address} . {p.host_port} : {member.address} . {p.guest_port}"
        for p in member.publish
        if p.host_address != EVERYWHERE
    ]


def _reached(member: Member) -> list[str]:
    """Ports of the guest that are published to other hosts."""
    return sorted(
        {
            f"{p.protocol} . {member.address} . {p.guest_port}"
            for p in member.publish
            if not IPv4Address(p.host_address).is_loopback
        }
    )


def _published_everywhere(member: Member) -> list[str]:
    return [
        f"{p.protocol} . {p.host_port} : {member.address} . {p.guest_port}"
        for p in member.publish
        if p.host_address == EVERYWHERE
    ]


def _block(kind: str, name: str, key: str, elements: list[str], flags: str = "") -> str:
    lines = [f"\t{kind} {name} {{", f"\t\ttype {key}"]
    if flags:
        lines.append(f"\t\tflags {flags}")
    if elements:
        lines.append(f"\t\telements = {{ {', '.join(elements)} }}")
    return "\n".join([*lines, "\t}", ""])
