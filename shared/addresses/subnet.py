"""A subnet of VMs: which of its addresses are whose, and which others lie outside. Pure."""

from ipaddress import IPv4Address, IPv4Network

THIS_NETWORK = IPv4Network("0.0.0.0/8")
"""RFC 1122 section 3.2.1.3: Linux takes 0.0.0.0 for the host itself."""


def gateway_of(subnet: IPv4Network) -> IPv4Address:
    """The bridge's own address: the first that a host can have."""
    return subnet.network_address + 1


def guest_addresses(subnet: IPv4Network) -> range:
    """Those a VM may have, as numbers: not the network's own, the bridge's, nor the broadcast."""
    return range(int(gateway_of(subnet)) + 1, int(subnet.broadcast_address))


def is_outside(address: IPv4Address, subnet: IPv4Network) -> bool:
    """Whether a name outside may stand for ``address``: not the host itself, nor its guests, nor
    what is no single host. Who owns a name on a list must not open these ("DNS rebinding")."""
    closed = (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address in THIS_NETWORK
        or address in subnet
    )
    return not closed
