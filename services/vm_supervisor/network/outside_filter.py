"""What a guest in user mode can send to the outside: a filter that the kernel runs.

The VMM's user-mode network makes requests as the host itself and has no filter by address. So it
does not see the guest's frames directly. They pass a pair of Unix sockets inside the VMM, and the
socket on the far side has a filter program (Documentation/networking/filter.rst of Linux). It lets
pass ARP, and IPv4 packets to addresses that are outside (shared/addresses/outside.py) or that the
VM's egress list names literally. No process of ours is on the way, and nothing in the guest can
change it.

Of the network's own addresses the guest reaches the resolver's port 53 and the DHCP server. The
rest of 10.0.3.2 would be the host's loopback, so it is closed.
"""

import hashlib
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from services.vm_supervisor.network.socket_filter import (
    EQUAL,
    GIVE,
    LOAD_BYTE,
    LOAD_HALF,
    LOAD_HALF_AFTER_HEADER,
    LOAD_HEADER_LENGTH,
    LOAD_WORD,
    MASK,
    TEST_BITS,
    WHOLE,
    Step,
    attach,
)
from shared.addresses.outside import SPECIAL
from shared.contract.egress import parse_allowed

_ETHERTYPE, _HEADER, _FRAGMENT, _PROTOCOL, _TARGET = 12, 14, 20, 23, 30
_IS_IPV4, _IS_ARP = 0x0800, 0x0806
_NOT_FIRST_OR_NOT_LAST = 0x3FFF
TCP, UDP = 6, 17


@dataclass(frozen=True)
class _Opening:
    """A network that is not global, and the port that is open there; 0 for everything."""

    network: IPv4Network
    port: int = 0
    protocols: tuple[int, ...] = (TCP, UDP)


_OWN = (
    _Opening(IPv4Network("10.0.3.3/32"), 53),
    _Opening(IPv4Network("10.0.3.2/32"), 67, (UDP,)),
    _Opening(IPv4Network("255.255.255.255/32"), 67, (UDP,)),
)


def filtered_pair(literal: Sequence[str]) -> tuple[socket.socket, socket.socket]:
    """(the guest's end, the end of the user-mode network). ``literal``: the entries of the VM's
    egress list, all of networks that are not global."""
    guest, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    attach(outside, program(literal))
    return guest, outside


def filter_id(literal: Iterable[str]) -> str:
    """The name in the VMM of what ``filtered_pair`` made: another one for another list."""
    return f"filtered-{hashlib.sha256(','.join(sorted(literal)).encode()).hexdigest()[:12]}"


def program(literal: Sequence[str]) -> list[Step]:
    """Each part decides or falls through to the next, because a jump reaches 255 steps only."""
    parsed = [parse_allowed(entry) for entry in literal]
    own = [_Opening(each.network, each.port) for each in parsed if each.network is not None]
    return [
        (LOAD_HALF, 0, 0, _ETHERTYPE),
        (EQUAL, 0, 1, _IS_ARP),
        (GIVE, 0, 0, WHOLE),
        (EQUAL, 1, 0, _IS_IPV4),
        (GIVE, 0, 0, 0),
        *(step for opening in (*_OWN, *own) for step in _open(opening)),
        *(step for network in SPECIAL for step in (*_unless_in(network, 1), (GIVE, 0, 0, 0))),
        (GIVE, 0, 0, WHOLE),
    ]


def _open(opening: _Opening) -> Iterator[Step]:
    rest = [*(_to_port(opening) if opening.port else ()), (GIVE, 0, 0, WHOLE)]
    yield from _unless_in(opening.network, len(rest))
    yield from rest


def _unless_in(network: IPv4Network, skipped: int) -> Iterator[Step]:
    """Skip the next steps unless the packet is for an address in ``network``."""
    yield LOAD_WORD, 0, 0, _TARGET
    yield MASK, 0, 0, int(network.netmask)
    yield EQUAL, 0, skipped, int(network.network_address)


def _to_port(opening: _Opening) -> list[Step]:
    """Skip the next step unless the packet is for the port. A fragment is for none."""
    protocols = opening.protocols
    checks: list[Step] = [
        (LOAD_BYTE, 0, 0, _PROTOCOL),
        *((EQUAL, len(protocols) - 1 - n, 0, each) for n, each in enumerate(protocols[:-1])),
        (EQUAL, 0, 6, protocols[-1]),
        (LOAD_HALF, 0, 0, _FRAGMENT),
        (TEST_BITS, 4, 0, _NOT_FIRST_OR_NOT_LAST),
        (LOAD_HEADER_LENGTH, 0, 0, _HEADER),
        (LOAD_HALF_AFTER_HEADER, 0, 0, _HEADER + 2),
        (EQUAL, 0, 1, opening.port),
    ]
    return checks
