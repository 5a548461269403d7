"""Which guest asks, told by the source address, and what its policy lets it look up. Pure.

nat lets a guest send with its own address only, so nobody asks in another's name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from services.dns.records import address_of
from shared.egress import Allowed, parse_allowed
from shared.errors import BangerError
from shared.lifecycle import LIVE
from shared.messages.vm import Vm

THIS_NETWORK = IPv4Network("0.0.0.0/8")
"""RFC 1122 section 3.2.1.3: Linux takes 0.0.0.0 for the host itself."""


@dataclass(frozen=True)
class Everything:
    """``--egress nat``: any name."""


@dataclass(frozen=True)
class Listed:
    """``--egress allow=…``, an empty list included: names that an entry covers."""

    entries: tuple[Allowed, ...] = ()

    def covers(self, name: str) -> bool:
        """Whether ``name`` (lower case, no final dot; "" is no host name) may be looked up."""
        return bool(name) and any(entry.covers(name) for entry in self.entries)


@dataclass(frozen=True)
class Asker:
    """A VM on the bridge that is up."""

    id: str
    name: str
    policy: Everything | Listed


def askers(vms: Iterable[Vm], subnet: IPv4Network) -> dict[str, Asker]:
    """By address, as text: whose packets come from there. An address that two rows claim is
    nobody's, since it would not be known which policy holds."""
    found: dict[str, Asker] = {}
    twice: set[str] = set()
    for vm in vms:
        address = address_of(vm)
        if vm.network == "bridge" and vm.state in LIVE and _is_guests(address, subnet):
            source = str(address)
            if source in found:
                twice.add(source)
            found[source] = Asker(vm.id, vm.name, _policy(vm))
    return {source: asker for source, asker in found.items() if source not in twice}


def may_be_reached(address: IPv4Address, subnet: IPv4Network) -> bool:
    """Whether a name outside may stand for ``address``: not the host itself, nor its guests, nor
    what is no single host. Who owns a name on the list must not open these ("DNS rebinding")."""
    closed = (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address in THIS_NETWORK
        or address in subnet
    )
    return not closed


def gateway_of(subnet: IPv4Network) -> IPv4Address:
    """The bridge's own address: the first that a host can have."""
    return subnet.network_address + 1


def _is_guests(address: IPv4Address | None, subnet: IPv4Network) -> bool:
    return address is not None and address in subnet and address != gateway_of(subnet)


def _policy(vm: Vm) -> Everything | Listed:
    if vm.nat:
        return Everything()
    return Listed(tuple(entry for text in vm.allow for entry in _readable(text)))


def _readable(text: str) -> list[Allowed]:
    """The entry; none for what a later program wrote: what is not understood opens nothing."""
    try:
        return [parse_allowed(text)]
    except BangerError:
        return []
