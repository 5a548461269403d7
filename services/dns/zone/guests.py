"""The guests that may ask, by source address, and what their policy lets them look up. Pure.

nat lets a guest send with its own address only, so no guest can ask in another's name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from services.dns.zone.records import ipv4_of
from shared.addresses.subnet import guest_addresses
from shared.contract.egress import Allowed, parse_allowed
from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import Vm
from shared.errors import BangerError


@dataclass(frozen=True)
class AnyName:
    """``--egress nat``: any name."""


@dataclass(frozen=True)
class ListedNames:
    """``--egress allow=…``, also with an empty list: names that an entry covers."""

    entries: tuple[Allowed, ...] = ()

    def covers(self, name: str) -> bool:
        """Whether ``name`` (lower case, no final dot; "" is no host name) may be looked up."""
        return bool(name) and any(entry.covers(name) for entry in self.entries)


@dataclass(frozen=True)
class NameClient:
    """A VM on the bridge that is up."""

    id: str
    name: str
    policy: AnyName | ListedNames


def name_clients(vms: Iterable[Vm], subnet: IPv4Network) -> dict[str, NameClient]:
    """The clients by their address, as text. An address that two rows have is left out, because it
    would be unknown which policy applies."""
    found: dict[str, NameClient] = {}
    twice: set[str] = set()
    for vm in vms:
        address = ipv4_of(vm)
        if vm.network != "bridge" or vm.state not in LIVE or address is None:
            continue
        if int(address) in guest_addresses(subnet):
            source = str(address)
            if source in found:
                twice.add(source)
            found[source] = NameClient(vm.id, vm.name, _policy(vm))
    return {source: client for source, client in found.items() if source not in twice}


def _policy(vm: Vm) -> AnyName | ListedNames:
    if vm.nat:
        return AnyName()
    return ListedNames(tuple(entry for text in vm.allow for entry in _readable(text)))


def _readable(text: str) -> list[Allowed]:
    """The entry; none for one that only a later version understands, so that it opens nothing."""
    try:
        return [parse_allowed(text)]
    except BangerError:
        return []
