"""Hardware addresses of guests. The supervisor sets them, and ``nat`` drops frames with others."""

import hashlib


def mac_address(vm_id: str) -> str:
    """The address of the VM, computed from its id: locally administered, unicast (IEEE 802)."""
    tail = hashlib.sha256(vm_id.encode()).digest()[:5]
    return ":".join(f"{octet:02x}" for octet in (0x02, *tail))
