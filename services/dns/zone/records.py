"""The VMs that have a name in the zone: users', while they are up or wait to be woken."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Network
from typing import NamedTuple

from services.dns.zone.zone import Address, Network, Zone
from shared.addresses.loopback import ROOTS
from shared.addresses.ula import ula_address
from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import Vm


@dataclass(frozen=True)
class VmNetworks:
    """The networks of the VMs' addresses: loopback in user mode, the bridge in bridge mode.

    ``prefix`` is that of the bridge's IPv6 addresses; None where guests have none.
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
    """None for a VM without a name, which asks nothing."""
    if not has_name(vm):
        return None
    return ZoneView(vm.name, vm.address, vm.network, vm.nat, vm.allow)


def has_name(vm: Vm) -> bool:
    """Whether its name leads somewhere: a user's VM that is up, or whose ports are held while it is
    asleep. In bridge mode the address of such a VM is nobody's."""
    waits = vm.wakes and vm.network == "user"
    return not vm.keeper and (vm.state in LIVE or waits)


def zone_of(vms: Iterable[Vm], networks: VmNetworks, seq: int, *, ipv6: bool = True) -> Zone:
    """The zone at sequence number ``seq``. A VM without a usable address has no name.

    Without ``ipv6`` it is the zone for guests: they may not open connections by IPv6, and a program
    that tried would wait for a timeout before it used the other address.
    """
    up = [vm for vm in vms if has_name(vm)]
    shown = networks if ipv6 else replace(networks, prefix=None)
    hosts = {vm.name: _addresses(vm, shown) for vm in up}
    subnets: list[Network] = [networks.loopback, networks.bridge]
    addresses = filter(None, map(ipv4_of, up))
    if networks.loopback != ROOTS and any(address in ROOTS for address in addresses):
        subnets.append(ROOTS)  # a VM from before this user had a subnet
    if networks.prefix is not None:
        subnets.append(networks.prefix)
    return Zone({name: addresses for name, addresses in hosts.items() if addresses}, subnets, seq)


def ipv4_of(vm: Vm) -> IPv4Address | None:
    try:
        return IPv4Address(vm.address)
    except AddressValueError:
        return None


def _addresses(vm: Vm, networks: VmNetworks) -> tuple[Address, ...]:
    address = ipv4_of(vm)
    if address is None:
        return ()
    if networks.prefix is None or vm.network != "bridge" or address not in networks.bridge:
        return (address,)
    return address, ula_address(networks.prefix, networks.bridge, address)
