"""Bodies between the api and a VM's supervisor. docs/protocol.md section 8 says who sends which."""

from typing import Annotated

import msgspec

from shared.contract.messages.snapshot import CopyForm
from shared.contract.messages.vm import LONGEST_REASON, State, Vm
from shared.contract.messages.workspace import HostPath


class SupervisorReady(msgspec.Struct, kw_only=True):
    """A supervisor tells the api that it serves."""

    id: str
    pid: int


class SupervisorSpec(msgspec.Struct, kw_only=True):
    """What a supervisor is handed at its start: the row and where image and kernel are.

    ``ran_before`` is False for a VM that was made a moment ago and has had no supervisor yet: there
    is no VMM to look for. ``saved`` is the directory of the saved machine that a new VM starts
    from; it counts as long as the VM has no disks. ``checked``: its memory was compared with its
    sum, and need not be read again.
    """

    vm: Vm
    image: str
    kernel: str
    ran_before: bool = True
    saved: str = ""
    checked: bool = False


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


class MachineSave(msgspec.Struct, kw_only=True):
    """``machine.save``: write what the machine is now into ``directory``, which is not there yet:
    its disks, and with ``memory`` its memory. A VM without a VMM has none, unless it is
    suspended."""

    directory: HostPath
    memory: bool = True


class MachineSaved(msgspec.Struct, kw_only=True):
    """``memory``: whether that was saved too. ``pause_seconds``: how long the guest stood still; 0
    for one that did not run."""

    memory: bool
    pause_seconds: float
    copied: CopyForm
    real_bytes: int


class MachineRestore(msgspec.Struct, kw_only=True):
    """``machine.restore``: put the saved machine in ``directory`` in place of what the VM is now.
    The directory stays as it is. ``memory``: False for its disks alone."""

    directory: HostPath
    memory: bool = True


class MachineApply(msgspec.Struct, kw_only=True):
    """``machine.apply``, ``machine.hand_over``: the VM's row as it is wanted from now on."""

    vm: Vm


class MachineSuspend(msgspec.Struct, kw_only=True):
    """``machine.suspend``. ``hold``: the VM is to come back by itself. The supervisor stays, holds
    the VM's ports, and brings it back when somebody connects; ``reason`` is why, for its row. A VM
    that somebody uses just then goes on: ``conflict``."""

    hold: bool = False
    reason: Annotated[str, msgspec.Meta(max_length=LONGEST_REASON)] = ""


class Activity(msgspec.Struct, kw_only=True):
    """``machine.activity``: whether anybody uses the VM, sessions apart. What is a sum since the
    launch says something by its difference to the look before."""

    at: float
    """When ``cpu_seconds`` was read, in seconds of CLOCK_MONOTONIC."""
    cpu_seconds: float
    """Of the VMM, a sum."""
    connections: int
    """TCP connections from this host, or through it, to ports of the guest but sshd's."""
    traffic: int = 0
    """Bytes that have passed the guest's network devices, a sum of the guest's own."""
    inhibitor: str = ""
    """The program that keeps the guest awake, as the guest calls it."""
    mute: bool = False
    """Whether the guest's agent does not answer, so that nobody knows of an inhibitor."""
    for_nothing: bool = False
    """Whether a connection has woken the VM, and nothing has been sent on it."""


class GuestStats(msgspec.Struct, kw_only=True):
    """``machine.stats``: the running VMM's part of ``VmStats``."""

    at: float
    """When ``cpu_seconds`` was read, in seconds of CLOCK_MONOTONIC."""
    cpu_seconds: float
    resident_bytes: int
    guest_memory_bytes: int | None = None
    unique_memory_bytes: int | None = None
    uptime: float
    received_bytes: int | None
    sent_bytes: int | None
