"""Reservations for tests: everything that does not matter has a value."""

from typing import Any

from shared.contract.messages.rows import VmReserve


def reservation(name: str, **changes: Any) -> VmReserve:
    fields: dict[str, Any] = {
        "id": f"id-{name}",
        "names": [name],
        "image_id": "i",
        "image_name": "debian",
        "kernel_id": "k",
        "vcpu": 1,
        "memory_mib": 512,
        "disk_bytes": 8 * 1024**3,
        "overlay_bytes": 8 * 1024**3,
        "nat": False,
        "vmm": "auto",
        "network": "user",
        "subnet": "127.77.0.0/16",
        "request_id": f"request-{name}",
    }
    return VmReserve(**(fields | changes))
