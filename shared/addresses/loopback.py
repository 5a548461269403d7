"""The loopback addresses that a user's VMs have in user mode. Pure.

All users of a host share 127.0.0.0/8, and the first one who binds a port of an address has it. So
each user has a subnet of their own by default.
"""

from ipaddress import IPv4Network

ROOTS = IPv4Network("127.77.0.0/16")
"""Root's, and of every user before each had one: VMs keep their addresses."""

_USERS = IPv4Network("127.128.0.0/9")
_PREFIX = 22
"""1021 VMs. There are 8192 such subnets, so users whose uids are less than 8192 apart, as those of
one host usually are, never share one."""


def loopback_subnet(uid: int) -> IPv4Network:
    """The subnet of this user."""
    if uid == 0:
        return ROOTS
    size = 1 << 32 - _PREFIX
    number = uid % (_USERS.num_addresses // size)
    return IPv4Network((int(_USERS.network_address) + number * size, _PREFIX))
