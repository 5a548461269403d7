"""The addresses of a subnet of VMs, and which addresses are outside of it. Pure."""

from ipaddress import IPv4Address, IPv4Network

THIS_NETWORK = IPv4Network("0.0.0.0/8")
"""RFC 1122 section 3.2.1.3. For Linux 0.0.0.0 is the host itself."""


def gateway_of(subnet: IPv4Network) -> IPv4Address:
    """The address of the bridge: the first one of the subnet."""
    return subnet.network_address + 1


def guest_addresses(subnet: IPv4Network) -> range:
    """The addresses that VMs may have, as numbers: all but those of the network itself, the bridge
    and the broadcast."""
    return range(int(gateway_of(subnet)) + 1, int(subnet.broadcast_address))


def is_outside(address: IPv4Address, subnet: IPv4Network) -> bool:
    """Whether a name outside may resolve to ``address``: not to the host itself, one of its guests
    or a group. Otherwise the owner of an allowed name could open these ("DNS rebinding")."""
    closed = (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address in THIS_NETWORK
        or address in subnet
    )
    return not closed
