"""Bodies between the api and a VM's supervisor. docs/protocol.md section 7 says who sends which."""

import msgspec

from shared.contract.messages.vm import Publication, State, Vm
from shared.contract.ssh_access import Access


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


class MachinePublish(msgspec.Struct, kw_only=True):
    """``machine.publish``: all that a running guest publishes from now on."""

    publish: list[Publication]


class MachineNat(msgspec.Struct, kw_only=True):
    """``machine.nat``: open or close the outside for a running guest."""

    nat: bool


class GuestStats(msgspec.Struct, kw_only=True):
    """``machine.stats``: the running VMM's part of ``VmStats``."""

    cpu_seconds: float
    resident_bytes: int
    uptime: float
    received_bytes: int | None
    sent_bytes: int | None


class MachineStatus(msgspec.Struct, kw_only=True):
    """What a supervisor knows of its VM."""

    state: State
    reason: str = ""
    access: Access | None = None
    pid: int | None = None
    boot_id: str = ""
    accel: str = ""
    ports: dict[str, int] = msgspec.field(default_factory=dict)
