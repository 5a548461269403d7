"""Who may do what, as elements of the sets and maps in our tables. Pure.

An interval set with concatenated keys refuses elements that overlap, and with one element the whole
transaction (nft_set_pipapo in the kernel). So entries with a port and those without are in sets
of their own, and networks of one guest are joined where they overlap.

Names are different: their addresses come and go with DNS answers (grants.py). In ``named`` and
``named_services`` an address is while a connection to it may begin, with a timeout; in
``spoken`` for as long as one that has begun may go on. The comment of such an element is the tag of
the entry it is for, so that the next nat knows it again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, collapse_addresses
from typing import Any

from shared.contract.messages.vm import Publication

EVERYWHERE = "0.0.0.0"

_ASKING = """\
\tset asking {
\t\ttype ipv4_addr
\t\tsize 65535
\t\tflags dynamic,timeout
\t\ttimeout 1m
\t}
"""
"""Filled by the kernel: how much each guest has sent to the host of late."""

_CONNECTED = """\
\tset connected {
\t\ttype ipv4_addr
\t\tsize 65535
\t\tflags dynamic
\t}
"""
"""Filled by the kernel: which connections each guest has begun. An element goes with its last."""


Way = tuple[int, IPv4Network]
"""Port, or 0 for every port and protocol, and where."""


@dataclass(frozen=True)
class Member:
    """What binds a tap to its guest, and what the guest may. Checked before it comes here.

    ``outside`` are the networks on its list and ``guests`` the other guests; ``tags`` name the
    entries that are names of the outside.
    """

    tap: str
    mac: str
    address: IPv4Address
    nat: bool
    outside: tuple[Way, ...] = ()
    guests: tuple[Way, ...] = ()
    tags: tuple[str, ...] = ()
    publish: tuple[Publication, ...] = ()
    addresses6: tuple[IPv6Address, ...] = ()
    """Its IPv6 addresses, the link-local one too; none where guests have no IPv6."""

    @property
    def listed(self) -> bool:
        return bool(self.outside or self.tags) and not self.nat


@dataclass(frozen=True)
class Live:
    """An address a name has led ``source`` to; ``port`` 0 is every port and protocol.

    New connections may be made for ``seconds`` more; 0: those that are open go on, no more.
    """

    source: IPv4Address
    destination: IPv4Address
    port: int
    seconds: int
    tag: str


def inet_sets(members: Sequence[Member], live: Iterable[Live]) -> str:
    """All sets and maps of ``table inet``, filled."""
    outside = [(m.address, way) for m in members if m.listed for way in _apart(m.outside)]
    guests = [(m.address, way) for m in members for way in _apart(m.guests)]
    published = [element for m in members for element in _published(m)]
    everywhere = [element for m in members for element in _published_everywhere(m)]
    reached = [element for m in members for element in _reached(m)]
    target, pair = "ipv4_addr . inet_service", "ipv4_addr . ipv4_addr"
    return "".join(
        (
            _taps(members),
            _ASKING,
            _CONNECTED,
            _block("set", "themselves", pair, [f"{m.address} . {m.address}" for m in members]),
            _block("set", "nat", "ipv4_addr", [str(m.address) for m in members if m.nat]),
            _block("set", "listed", "ipv4_addr", [str(m.address) for m in members if m.listed]),
            _block("set", "networks", pair, _pairs(outside), "interval"),
            _block("set", "services", f"ipv4_addr . {target}", _triples(outside), "interval"),
            _block("set", "guests", pair, _pairs(guests), "interval"),
            _block("set", "guest_services", f"ipv4_addr . {target}", _triples(guests), "interval"),
            _live_sets(list(live)),
            _block("set", "reached", f"inet_proto . {target}", reached),
            _block("map", "published", f"inet_proto . {target} : {target}", published),
            _block("map", "everywhere", f"inet_proto . inet_service : {target}", everywhere),
        )
    )


def bridge_sets(members: Sequence[Member]) -> str:
    """All sets of ``table bridge``, filled, and a counter for each tap."""
    counters = "".join(f"\tcounter {m.tap} {{ }}\n" for m in members)
    spoofed = [f'"{m.tap}" : "{m.tap}"' for m in members]
    return counters + "".join(
        (
            _block("map", "spoofed", "ifname : counter", spoofed),
            _taps(members),
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


def additions(table: str, live: Iterable[Live], unspoken: Iterable[Live] = ()) -> str:
    """A transaction that puts these into the loaded sets, each with its seconds from now on, and
    takes those from ``spoken``.

    Adding an element that is there leaves its timeout as it was; deleting one that is not there
    is an error. So each is added, deleted and added: in one transaction nobody sees it missing.
    """
    lines = []
    for one in unspoken:
        there = f"element {table} spoken {{ {_pair(one)} }}"
        lines += [f"add {there}", f"delete {there}"]
    for one in live:
        where, key = _named(one)
        new = f"{key} timeout {one.seconds}s {_comment(one)}"
        lines += [
            f"add element {table} {where} {{ {new} }}",
            f"delete element {table} {where} {{ {key} }}",
            f"add element {table} {where} {{ {new} }}",
            f"add element {table} spoken {{ {_pair(one)} {_comment(one)} }}",
        ]
    return "\n".join(lines) + "\n"


def live_elements(sets: Iterable[Mapping[str, Any]]) -> list[Live]:
    """The contrary of ``additions``: from sets as ``nft -j`` shows them; others are passed over."""
    return [
        _live(element["elem"])
        for one in sets
        if one["name"] in ("named", "named_services", "spoken")
        for element in one.get("elem", [])
        if "comment" in element.get("elem", {})
    ]


def _live(element: Mapping[str, Any]) -> Live:
    source, destination, *port = element["val"]["concat"]
    seconds = int(element.get("expires", 0))
    return Live(
        IPv4Address(source),
        IPv4Address(destination),
        int(port[0]) if port else 0,
        seconds,
        str(element["comment"]),
    )


def _live_sets(live: Sequence[Live]) -> str:
    elements: dict[str, dict[str, Live]] = {"named": {}, "named_services": {}, "spoken": {}}
    for one in sorted(live, key=lambda one: one.seconds):  # of two for the same: the longer
        elements["spoken"][_pair(one)] = one
        if one.seconds > 0:
            where, key = _named(one)
            elements[where][key] = one
    spoken = [f"{key} {_comment(one)}" for key, one in elements["spoken"].items()]
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
        + _block("set", "spoken", pair, spoken)
    )


def _taps(members: Sequence[Member]) -> str:
    return _block("set", "taps", "ifname", [f'"{m.tap}"' for m in members])


def _timed(elements: dict[str, Live]) -> list[str]:
    return [f"{key} timeout {one.seconds}s {_comment(one)}" for key, one in elements.items()]


def _named(one: Live) -> tuple[str, str]:
    if one.port:
        return "named_services", f"{_pair(one)} . {one.port}"
    return "named", _pair(one)


def _pair(one: Live) -> str:
    return f"{one.source} . {one.destination}"


def _comment(one: Live) -> str:
    return f'comment "{one.tag}"'


def _apart(ways: Iterable[Way]) -> list[Way]:
    """The same, none overlapping another of the same port."""
    by_port: dict[int, list[IPv4Network]] = {}
    for port, network in ways:
        by_port.setdefault(port, []).append(network)
    return [(port, net) for port in sorted(by_port) for net in collapse_addresses(by_port[port])]


def _pairs(ways: Iterable[tuple[IPv4Address, Way]]) -> list[str]:
    return [f"{source} . {network}" for source, (port, network) in ways if port == 0]


def _triples(ways: Iterable[tuple[IPv4Address, Way]]) -> list[str]:
    return [f"{source} . {network} . {port}" for source, (port, network) in ways if port]


def _published(member: Member) -> list[str]:
    return [
        f"{p.protocol} . {p.host_address} . {p.host_port} : {member.address} . {p.guest_port}"
        for p in member.publish
        if p.host_address != EVERYWHERE
    ]


def _reached(member: Member) -> list[str]:
    """Ports of the guest that lead somebody outside to it."""
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
