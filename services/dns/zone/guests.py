"""Which guest asks, told by the source address, and what its policy lets it look up. Pure.

nat lets a guest send with its own address only, so nobody asks in another's name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from services.dns.zone.records import address_of
from shared.addresses.subnet import guest_addresses
from shared.contract.egress import Allowed, parse_allowed
from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import Vm
from shared.errors import BangerError


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
        if vm.network != "bridge" or vm.state not in LIVE or address is None:
            continue
        if int(address) in guest_addresses(subnet):
            source = str(address)
            if source in found:
                twice.add(source)
            found[source] = Asker(vm.id, vm.name, _policy(vm))
    return {source: asker for source, asker in found.items() if source not in twice}


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
