"""The guests' IPv6 addresses: unique local ones (RFC 4193), a pure function of what is known.

Nothing is kept: nat and dns each compute the same address from the state directory's path, the
bridge's subnet and the guest's IPv4 address.
"""

import hashlib
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_PREFIX = 0xFD
"""fc00::/7 with the bit L set: assigned locally (RFC 4193 section 3.1)."""
_GLOBAL_AND_SUBNET_OCTETS = (40 + 16) // 8
_INTERFACE_BITS = 64


def ula_prefix(state_directory: str) -> IPv6Network:
    """The /64 of the banger whose state is in ``state_directory``: 40 bits of global and 16 of
    subnet id from its SHA-256, so that two users or two hosts hardly ever have the same."""
    digest = hashlib.sha256(state_directory.encode("utf-8", "surrogateescape")).digest()
    network = bytes([_PREFIX]) + digest[:_GLOBAL_AND_SUBNET_OCTETS]
    return IPv6Network((int.from_bytes(network) << _INTERFACE_BITS, 128 - _INTERFACE_BITS))


def ula_address(prefix: IPv6Network, subnet: IPv4Network, address: IPv4Address) -> IPv6Address:
    """``address``'s number in ``subnet`` as the host number in ``prefix``: the bridge is ::1.

    Raises:
        ValueError: ``address`` is not in ``subnet``.
    """
    if address not in subnet:
        raise ValueError(f"{address} is not in {subnet}")
    return prefix[int(address) - int(subnet.network_address)]
