"""Which addresses are outside: those that are globally routable, and no others. Pure.

What is not is listed by the IANA IPv4 Special-Purpose Address Registry (RFC 6890). It has the
private, shared, loopback and link-local networks, where cloud providers put the metadata of a host.
The outside is what no entry of the registry covers, so that a network that nobody thought of is
closed.
"""

from ipaddress import IPv4Address, IPv4Network

SPECIAL = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network (RFC 791); for Linux 0.0.0.0 is the host itself
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # shared (RFC 6598); 100.100.100.200 is Alibaba's metadata service
            "127.0.0.0/8",  # loopback (RFC 1122)
            "168.63.129.16/32",  # Azure's platform service: a public address that is never public
            "169.254.0.0/16",  # link-local (RFC 3927); 169.254.169.254 is most clouds' metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocol assignments (RFC 6890)
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # deprecated relays of 6to4 (RFC 7526)
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks (RFC 2544)
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast (RFC 5771)
            "240.0.0.0/4",  # reserved (RFC 1112), and the broadcast
        ),
    )
)
"""Networks that are not globally routable; none overlaps another."""


def is_global(address: IPv4Address) -> bool:
    """Whether the address is globally routable."""
    return not any(address in network for network in SPECIAL)


def is_special(network: IPv4Network) -> bool:
    """Whether the whole of ``network`` is in one that is not globally routable. An egress list that
    has it names such addresses literally; a wider one means its global part only."""
    return any(network.subnet_of(special) for special in SPECIAL)


def is_outside(address: IPv4Address, subnet: IPv4Network) -> bool:
    """Whether a name outside may lead to ``address``: not to the host itself, to one of its guests
    or into its local networks. Otherwise the owner of an allowed name could open these ("DNS
    rebinding"). ``subnet``: that of the guests, which may be a global one."""
    return is_global(address) and address not in subnet
