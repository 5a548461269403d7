"""The reverse zones of a subnet (RFC 1035 section 3.5, RFC 3596). Pure."""

from ipaddress import IPv4Network, IPv6Network


def reverse_zones(subnet: IPv4Network | IPv6Network) -> list[str]:
    """The zones of in-addr.arpa or ip6.arpa that cover ``subnet``, without the final dot.

    A label is an octet of IPv4 and four bits of IPv6. A subnet with a prefix longer than /24 or
    /124 gets the zone above: classless delegation (RFC 2317) needs a parent zone that delegates,
    and a local server has none.
    """
    bits = 8 if isinstance(subnet, IPv4Network) else 4
    most = subnet.max_prefixlen // bits
    labels = min(most - 1, -(-subnet.prefixlen // bits))
    wanted = labels * bits
    if subnet.prefixlen > wanted:
        parts: list[IPv4Network | IPv6Network] = [subnet.supernet(new_prefix=wanted)]
    else:
        parts = list(subnet.subnets(new_prefix=wanted))
    pointers = (part.network_address.reverse_pointer.split(".") for part in parts)
    return [".".join(pointer[most - labels :]) for pointer in pointers]
