"""Which VMs have a name in the zone: those that are up, from ``starting`` to ``stopping``."""

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from services.dns.zone import Zone
from shared.messages.vm import State, Vm

NAMED: frozenset[State] = frozenset({"starting", "running", "paused", "stopping"})


def zone_of(vms: Iterable[Vm], subnets: Iterable[IPv4Network], seq: int) -> Zone:
    """The zone at sequence number ``seq``. A VM without a usable address has no name."""
    up = (vm for vm in vms if vm.state in NAMED)
    addresses = ((vm.name, _address(vm)) for vm in up)
    hosts = {name: address for name, address in addresses if address is not None}
    return Zone(hosts, subnets, seq)


def _address(vm: Vm) -> IPv4Address | None:
    try:
        return IPv4Address(vm.address)
    except AddressValueError:
        return None
