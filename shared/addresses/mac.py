"""A guest's hardware address: the supervisor gives it to the VMM, ``nat`` lets no other pass."""

import hashlib


def mac_address(vm_id: str) -> str:
    """The VM's for life: locally administered, unicast (IEEE 802 U/L bit), from its id."""
    tail = hashlib.sha256(vm_id.encode()).digest()[:5]
    return ":".join(f"{octet:02x}" for octet in (0x02, *tail))
