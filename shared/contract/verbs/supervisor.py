"""Verbs of a VM's supervisor. ``.at(vm_id)`` addresses a request to one of them."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import machine, vm, vm_request
else:
    machine = Structs("shared.contract.messages.machine")
    vm = Structs("shared.contract.messages.vm")
    vm_request = Structs("shared.contract.messages.vm_request")

SECONDS = 30.0
BOOT_SECONDS = 900.0
SAVE_SECONDS = 900.0
EXEC_SECONDS = 630.0

START = Verb(
    "vm",
    "machine.start",
    vm.Empty,
    machine.MachineState,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BOOT_SECONDS,
    notes="boots, brings a suspended VM back, or joins the boot under way",
)
AWAIT_SYSTEM = Verb(
    "vm",
    "machine.await_system",
    vm.Empty,
    machine.SystemState,
    seconds=BOOT_SECONDS,
    notes="waits until the guest's systemd has finished its boot; at once without systemd",
)
STOP = Verb(
    "vm",
    "machine.stop",
    machine.MachineStop,
    machine.MachineState,
    partials=True,
    seconds=SECONDS,
    notes="a cancel leaves the VM running, or gets its end when that cannot be prevented any more",
)
KILL = Verb("vm", "machine.kill", machine.MachineKill, machine.MachineState, seconds=SECONDS)
PAUSE = Verb("vm", "machine.pause", vm.Empty, machine.MachineState, seconds=SECONDS)
RESUME = Verb("vm", "machine.resume", vm.Empty, machine.MachineState, seconds=SECONDS)
SUSPEND = Verb(
    "vm",
    "machine.suspend",
    machine.MachineSuspend,
    machine.MachineState,
    partials=True,
    seconds=SAVE_SECONDS,
    notes="saves the memory and ends the VMM; after an error or a cancel the guest goes on. With "
    "`hold`, the supervisor stays and brings the VM back when somebody connects",
)
DISCARD = Verb(
    "vm",
    "machine.discard",
    vm.Empty,
    machine.MachineState,
    seconds=SECONDS,
    notes="drops the memory of a suspended VM, which is `stopped` then",
)
SAVE = Verb(
    "vm",
    "machine.save",
    machine.MachineSave,
    machine.MachineSaved,
    idempotent=False,
    partials=True,
    seconds=SAVE_SECONDS,
    notes="the guest stands still meanwhile and then goes on, whatever has failed; the directory "
    "is there whole, or not at all",
)
RESTORE = Verb(
    "vm",
    "machine.restore",
    machine.MachineRestore,
    machine.MachineState,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BOOT_SECONDS,
    notes="ends the VMM and replaces the disks: the VM is `suspended` then, or `stopped` without "
    "memory; refuses a saved machine that is damaged or does not fit before anything changes",
)
APPLY = Verb(
    "vm",
    "machine.apply",
    machine.MachineApply,
    type(None),
    seconds=SECONDS,
    notes="makes a running VM what its row says, as far as that can be done live: published ports "
    "and, in user mode, egress; all of it or nothing. `not_running` when there is no VMM",
)
HAND_OVER = Verb(
    "vm",
    "machine.hand_over",
    machine.MachineApply,
    machine.MachineState,
    seconds=SECONDS,
    notes="lets a VM of the pool go on as the one that its row says since `vm.claim`; after an "
    "error it is of no use",
)
STATE = Verb("vm", "machine.state", vm.Empty, machine.MachineState)
ACTIVITY = Verb(
    "vm",
    "machine.activity",
    vm.Empty,
    machine.Activity,
    seconds=SECONDS,
    notes="whether the VM is used; `not_running` unless its guest answers",
)
STATS = Verb("vm", "machine.stats", vm.Empty, machine.GuestStats, seconds=SECONDS)
PORTS = Verb("vm", "machine.ports", vm.Empty, vm.PortList, seconds=SECONDS)
EXEC = Verb(
    "vm",
    "machine.exec",
    vm_request.GuestExec,
    vm_request.GuestOutput,
    idempotent=False,
    seconds=EXEC_SECONDS,
    notes="by the guest's agent",
)
HEALTH = Verb("vm", "machine.health", vm.Empty, vm.Health, seconds=SECONDS)
