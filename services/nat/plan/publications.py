"""Which published ports become rules: checked as if anybody had written them. Pure.

A port that cannot be published is left out, and said so; the VM keeps its network, and so does
everybody else.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address

import msgspec

from services.nat.plan.state import Guest
from services.nat.ruleset.sets import EVERYWHERE
from shared.contract.messages.vm import Publication, Vm
from shared.errors import BangerError, Code

MOST = 256
"""Published ports of one VM."""
UNPRIVILEGED = 1024
"""The lowest port an ordinary user may have."""


def publications_of(vm: Vm) -> tuple[Publication, ...]:
    """The row's, each with its address in its one spelling.

    Raises:
        BangerError: ``invalid`` for fields that are no address, port or protocol.
    """
    if len(vm.publish) > MOST:
        raise BangerError(Code.INVALID, f"VM {vm.name} publishes more than {MOST} ports")
    return tuple(_checked(vm, publication) for publication in vm.publish)


def _checked(vm: Vm, publication: Publication) -> Publication:
    try:
        address = IPv4Address(publication.host_address)
    except AddressValueError:
        address = None
    ports = (publication.host_port, publication.guest_port)
    usable = all(0 < port < 65536 for port in ports) and publication.protocol in ("tcp", "udp")
    if address is None or address.is_multicast or not usable:
        raise BangerError(Code.INVALID, f"VM {vm.name} publishes {publication}: not possible")
    return msgspec.structs.replace(publication, host_address=str(address))


class Allotment:
    """Goes through the guests in turn, and leaves out what cannot be published.

    ``taken``: (protocol, port) of other users' sockets, where the rows are an untrusted user's;
    None where they are trusted.
    """

    def __init__(self, taken: frozenset[tuple[str, int]] | None) -> None:
        self._taken = taken
        self._given: dict[tuple[str, int], set[str]] = {}
        """Addresses by (protocol, port): a user may have tens of thousands."""
        self.refused: list[tuple[str, str]] = []
        """(VM id, why), in order."""

    def allot(self, guests: Iterable[Guest]) -> Iterator[Guest]:
        for guest in guests:
            yield replace(guest, publish=tuple(p for p in guest.publish if self._may(guest, p)))

    def _may(self, guest: Guest, publication: Publication) -> bool:
        why = self._refusal(publication)
        if why:
            self.refused.append((guest.id, f"{publication} is not published: {why}"))
        else:
            self._given.setdefault(_port(publication), set()).add(publication.host_address)
        return not why

    def _refusal(self, publication: Publication) -> str:
        given = self._given.get(_port(publication), set())
        # 0.0.0.0 is every address, as in ``shared.contract.publication.clash``.
        if given & {publication.host_address, EVERYWHERE} or (
            given and publication.host_address == EVERYWHERE
        ):
            return "another VM publishes this port, or this one does twice"
        if self._taken is None:
            return ""
        if publication.host_port < UNPRIVILEGED:
            return f"ports below {UNPRIVILEGED} are not for ordinary users"
        if _port(publication) in self._taken:
            return "another user of this host has the port"
        return ""


def _port(publication: Publication) -> tuple[str, int]:
    return publication.protocol, publication.host_port
