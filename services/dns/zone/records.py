"""Which VMs have a name in the zone: those that are up, from ``starting`` to ``stopping``."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Network
from typing import NamedTuple

from services.dns.zone.zone import Address, Network, Zone
from shared.addresses.ula import ula_address
from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import Vm


@dataclass(frozen=True)
class Networks:
    """Where VMs have their addresses: on loopback in user mode, on the bridge in the other.

    ``prefix`` is that of the bridge's IPv6 addresses, None where guests have none.
    """

    loopback: IPv4Network
    bridge: IPv4Network
    prefix: IPv6Network | None = None


class ZoneView(NamedTuple):
    """What dns uses of the row of a VM that is up: for its name, and for what it may look up."""

    name: str
    address: str
    network: str
    nat: bool
    allow: list[str]


def zone_view(vm: Vm) -> ZoneView | None:
    """None for a VM that is not up, which has no name and asks nothing."""
    if vm.state not in LIVE:
        return None
    return ZoneView(vm.name, vm.address, vm.network, vm.nat, vm.allow)


def zone_of(vms: Iterable[Vm], networks: Networks, seq: int, *, ipv6: bool = True) -> Zone:
    """The zone at sequence number ``seq``. A VM without a usable address has no name.

    Without ``ipv6`` it is the zone as guests see it: none of them may begin anything by IPv6, and a
    program that tried would wait for its failure before it took the other address.
    """
    up = (vm for vm in vms if vm.state in LIVE)
    told = networks if ipv6 else replace(networks, prefix=None)
    hosts = {vm.name: _addresses(vm, told) for vm in up}
    subnets: list[Network] = [networks.loopback, networks.bridge]
    if networks.prefix is not None:
        subnets.append(networks.prefix)
    return Zone({name: addresses for name, addresses in hosts.items() if addresses}, subnets, seq)


def address_of(vm: Vm) -> IPv4Address | None:
    try:
        return IPv4Address(vm.address)
    except AddressValueError:
        return None


def _addresses(vm: Vm, networks: Networks) -> tuple[Address, ...]:
    address = address_of(vm)
    if address is None:
        return ()
    if networks.prefix is None or vm.network != "bridge" or address not in networks.bridge:
        return (address,)
    return address, ula_address(networks.prefix, networks.bridge, address)
