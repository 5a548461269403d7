"""Verbs of a VM's supervisor. ``.at(vm_id)`` addresses a request to one of them."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import machine, vm
else:
    machine = Structs("shared.contract.messages.machine")
    vm = Structs("shared.contract.messages.vm")

SECONDS = 30.0
BOOT_SECONDS = 900.0

START = Verb(
    "vm",
    "machine.start",
    vm.Empty,
    machine.MachineStatus,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BOOT_SECONDS,
    notes="boots, or joins the boot under way",
)
STOP = Verb(
    "vm",
    "machine.stop",
    machine.MachineStop,
    machine.MachineStatus,
    partials=True,
    seconds=SECONDS,
)
KILL = Verb("vm", "machine.kill", machine.MachineKill, machine.MachineStatus, seconds=SECONDS)
PAUSE = Verb("vm", "machine.pause", vm.Empty, machine.MachineStatus, seconds=SECONDS)
RESUME = Verb("vm", "machine.resume", vm.Empty, machine.MachineStatus, seconds=SECONDS)
NAT = Verb("vm", "machine.nat", machine.MachineNat, machine.MachineStatus, seconds=SECONDS)
PUBLISH = Verb(
    "vm",
    "machine.publish",
    machine.MachinePublish,
    machine.MachineStatus,
    seconds=SECONDS,
    notes="all that is published from now on, or nothing changes",
)
STATUS = Verb("vm", "machine.status", vm.Empty, machine.MachineStatus, seconds=SECONDS)
STATS = Verb("vm", "machine.stats", vm.Empty, machine.GuestStats, seconds=SECONDS)
PORTS = Verb("vm", "machine.ports", vm.Empty, vm.PortList, seconds=SECONDS)
HEALTH = Verb("vm", "machine.health", vm.Empty, vm.Health, seconds=SECONDS)
