"""What the api answers about snapshots, scripted."""

from typing import Any


def shot(name: str = "clean", vm: str = "web", **fields: Any) -> dict[str, Any]:
    """A Snapshot."""
    return {
        "vm_id": "0123456789ab",
        "vm_name": vm,
        "name": name,
        "created_at": "2026-11-29T11:30:00.000Z",
        "memory": True,
        "image_id": "1" * 16,
        "image_name": "debian-bookworm",
        "kernel_id": "2" * 16,
        "vcpu": 2,
        "memory_mib": 512,
        "vmm": "qemu",
        "vmm_version": "7.2.0",
        "cpu": "max",
        "copied": "sparse",
        "pause_seconds": 0.12,
        "real_bytes": 150 << 20,
        "problems": [],
        **fields,
    }
