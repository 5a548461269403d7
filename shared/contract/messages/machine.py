"""Bodies between the api and a VM's supervisor. docs/protocol.md section 7 says who sends which."""

import msgspec

from shared.contract.messages.vm import Vm


class SupervisorReady(msgspec.Struct, kw_only=True):
    """A supervisor tells the api that it serves."""

    id: str
    pid: int


class SupervisorSpec(msgspec.Struct, kw_only=True):
    """What a supervisor is handed at its start: the row and where image and kernel are."""

    vm: Vm
    image: str
    kernel: str


class MachineStop(msgspec.Struct, kw_only=True):
    timeout: float = 30.0


class MachineKill(msgspec.Struct, kw_only=True):
    """``machine.kill``: the number of a signal. One of ``ENDING`` ends the VMM: wait
    for it."""

    signal: int = 9


class MachineApply(msgspec.Struct, kw_only=True):
    """``machine.apply``: the VM's row as it is wanted from now on."""

    vm: Vm


class GuestStats(msgspec.Struct, kw_only=True):
    """``machine.stats``: the running VMM's part of ``VmStats``."""

    cpu_seconds: float
    resident_bytes: int
    uptime: float
    received_bytes: int | None
    sent_bytes: int | None
