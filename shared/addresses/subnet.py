"""The addresses of a subnet of VMs. Pure."""

from ipaddress import IPv4Address, IPv4Network


def gateway_of(subnet: IPv4Network) -> IPv4Address:
    """The address of the bridge: the first one of the subnet."""
    return subnet.network_address + 1


def guest_addresses(subnet: IPv4Network) -> range:
    """The addresses that VMs may have, as numbers: all but those of the network itself, the bridge
    and the broadcast."""
    return range(int(gateway_of(subnet)) + 1, int(subnet.broadcast_address))
