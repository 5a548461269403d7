"""Bodies between the api and a VM's supervisor. docs/protocol.md section 8 says who sends which."""

import msgspec

from shared.contract.messages.vm import State, Vm


class SupervisorReady(msgspec.Struct, kw_only=True):
    """A supervisor tells the api that it serves."""

    id: str
    pid: int


class SupervisorSpec(msgspec.Struct, kw_only=True):
    """What a supervisor is handed at its start: the row and where image and kernel are.

    ``ran_before`` is False for a VM that was made a moment ago and has had no supervisor yet: there
    is no VMM to look for.
    """

    vm: Vm
    image: str
    kernel: str
    ran_before: bool = True
    saved: str = ""
    """The directory of the saved machine that a new VM is a copy of; of use until it has disks."""


class MachineState(msgspec.Struct, kw_only=True):
    """What has become of the VM."""

    state: State
    reason: str = ""


class SystemState(msgspec.Struct, kw_only=True):
    """``machine.await_system``: ``state`` as systemctl(1) prints it for is-system-running, "" for a
    guest without systemd; ``failed``: units that failed."""

    state: str
    failed: list[str] = []


class MachineStop(msgspec.Struct, kw_only=True):
    """``machine.stop``. ``stored``: the row says ``stopping`` already."""

    timeout: float = 30.0
    stored: bool = False


class MachineKill(msgspec.Struct, kw_only=True):
    """``machine.kill``: the number of a signal. One of ``ENDING`` ends the VMM: wait
    for it. ``forget``: the VM is being deleted, so its end is not stored."""

    signal: int = 9
    forget: bool = False


class MachineApply(msgspec.Struct, kw_only=True):
    """``machine.apply``: the VM's row as it is wanted from now on."""

    vm: Vm


class GuestStats(msgspec.Struct, kw_only=True):
    """``machine.stats``: the running VMM's part of ``VmStats``."""

    at: float
    """When ``cpu_seconds`` was read, in seconds of CLOCK_MONOTONIC."""
    cpu_seconds: float
    resident_bytes: int
    guest_memory_bytes: int | None = None
    uptime: float
    received_bytes: int | None
    sent_bytes: int | None
