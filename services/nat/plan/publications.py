"""Which VM gets a published port that several may want. Pure.

A port that cannot be published is left out and reported; its VM and all others keep their network.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.nat.plan.state import BridgeGuest
from services.nat.ruleset.sets import EVERYWHERE
from shared.contract.messages.vm import Publication
from shared.contract.publication import PORTS_MOST_OF_USER, show_publication

UNPRIVILEGED = 1024
"""The lowest port that an ordinary user may have."""

Ports = frozenset[tuple[str, int]]
"""(protocol, port) of sockets."""


@dataclass(frozen=True)
class PortAssignment:
    """The guests with the ports that they get, and what was refused: (VM id, reason)."""

    guests: tuple[BridgeGuest, ...]
    refused: list[tuple[str, str]]


def assign_ports(guests: Iterable[BridgeGuest], taken: Ports | None = None) -> PortAssignment:
    """Give every published port to the first guest that has it, and to no other.

    ``taken`` holds the ports of other users' sockets, where the rows are an untrusted user's; None
    where they are trusted.
    """
    ports = _Ports(taken)
    refused: list[tuple[str, str]] = []
    assigned: list[BridgeGuest] = []
    for guest in guests:
        kept = []
        for publication in guest.publish:
            if reason := ports.take(publication):
                shown = show_publication(publication)
                refused.append((guest.id, f"{shown} is not published: {reason}"))
            else:
                kept.append(publication)
        assigned.append(replace(guest, publish=tuple(kept)))
    return PortAssignment(tuple(assigned), refused)


class _Ports:
    def __init__(self, taken: Ports | None) -> None:
        self._taken = taken
        self._number = 0
        self._addresses: dict[tuple[str, int], set[str]] = {}
        """Of each assigned (protocol, port), which may be tens of thousands."""

    def take(self, publication: Publication) -> str:
        """Assign the port; returns why that is not possible, empty when it is done."""
        port = (publication.protocol, publication.host_port)
        addresses = self._addresses.setdefault(port, set())
        # 0.0.0.0 is every address, as in ``shared.contract.publication.clash``.
        if addresses & {publication.host_address, EVERYWHERE} or (
            addresses and publication.host_address == EVERYWHERE
        ):
            return "another VM publishes this port, or this one does twice"
        if self._taken is not None:
            if self._number >= PORTS_MOST_OF_USER:
                return f"the VMs of one user publish at most {PORTS_MOST_OF_USER} ports"
            if publication.host_port < UNPRIVILEGED:
                return f"ports below {UNPRIVILEGED} are not for ordinary users"
            if port in self._taken:
                return "another user of this host has the port"
        addresses.add(publication.host_address)
        self._number += 1
        return ""
