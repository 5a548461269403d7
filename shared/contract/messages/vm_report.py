"""What is told of virtual machines at work: use, ports and health. Sizes are in bytes."""

import msgspec

from shared.contract.messages.vm import Protocol, State


class VmStats(msgspec.Struct, kw_only=True):
    """One sample. Times in seconds, sizes in bytes; what needs a running VMM is None without one.

    ``cpu_seconds`` is the VMM's processor time; a rate is the difference of two samples over that
    of their ``at`` (CLOCK_MONOTONIC). Disks are system overlay and work disk together.
    """

    id: str
    name: str
    state: State
    at: float
    vcpu: int
    memory_bytes: int
    disk_apparent: int
    disk_allocated: int
    cpu_seconds: float | None = None
    resident_bytes: int | None = None
    """Of the whole VMM, which has memory of its own beside the guest's."""
    guest_memory_bytes: int | None = None
    """Of the guest's memory, what this host has given it; None where that is not known."""
    unique_memory_bytes: int | None = None
    """Of that, what no other VM shares: a fork shares what neither has written since."""
    saved_bytes: int = 0
    """What its snapshots, and its memory while it is suspended, occupy on disk."""
    uptime: float | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None


class Port(msgspec.Struct, kw_only=True):
    """A listening socket of the guest, or a published port of the host (``published``).

    ``host_port`` is None where nothing forwards to it; ``guest_address`` is empty where nothing
    listens on a published one. ``url`` is given where HTTP answered.
    """

    protocol: Protocol
    guest_address: str
    guest_port: int
    host_address: str = ""
    host_port: int | None = None
    url: str = ""
    published: bool = False
    reason: str = ""
    """Why connections to it reach nothing, and what to do about it; "" when they do."""


class PortList(msgspec.Struct, kw_only=True):
    """``id`` and ``name`` are the VM's."""

    id: str
    name: str
    ports: list[Port]


class Check(msgspec.Struct, kw_only=True):
    """One line of a VM's health. ``milliseconds`` is how long the answer took."""

    name: str
    ok: bool
    detail: str
    milliseconds: float | None = None


class Health(msgspec.Struct, kw_only=True):
    """``healthy`` when every check is ok."""

    id: str
    name: str
    healthy: bool
    checks: list[Check]
