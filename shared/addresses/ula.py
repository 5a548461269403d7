"""IPv6 addresses of guests: unique local ones (RFC 4193). Pure.

Nothing is stored: nat and dns compute the same address from the path of the state directory, the
subnet of the bridge and the guest's IPv4 address.
"""

import hashlib
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_PREFIX = 0xFD
"""fc00::/7 with the bit L set: assigned locally (RFC 4193 section 3.1)."""
_GLOBAL_AND_SUBNET_OCTETS = (40 + 16) // 8
_INTERFACE_BITS = 64


def ula_prefix(state_directory: str) -> IPv6Network:
    """The /64 for the state directory: 40 bits of global id and 16 of subnet id from the SHA-256 of
    its path, so that two users or two hosts hardly ever have the same."""
    digest = hashlib.sha256(state_directory.encode("utf-8", "surrogateescape")).digest()
    network = bytes([_PREFIX]) + digest[:_GLOBAL_AND_SUBNET_OCTETS]
    return IPv6Network((int.from_bytes(network) << _INTERFACE_BITS, 128 - _INTERFACE_BITS))


def ula_address(prefix: IPv6Network, subnet: IPv4Network, address: IPv4Address) -> IPv6Address:
    """The address in ``prefix`` with the host number that ``address`` has in ``subnet``; the bridge
    is ::1.

    Raises:
        ValueError: ``address`` is not in ``subnet``.
    """
    if address not in subnet:
        raise ValueError(f"{address} is not in {subnet}")
    return prefix[int(address) - int(subnet.network_address)]
