"""Bodies of the verbs about virtual machines. docs/protocol.md section 7 says who sends which.

Sizes are in MiB for memory and in bytes for disks. Unknown fields are ignored by the decoder.
"""

from typing import Any, Literal

import msgspec

from shared.contract.ssh_access import Access

State = Literal["created", "starting", "running", "paused", "stopping", "stopped", "failed"]
NetworkMode = Literal["user", "bridge"]
VmmName = str
"""One of ``shared.vmm.registry``."""
VmmWanted = str
"""The same, or auto: the first that can run this VM at the time it is started."""


Protocol = Literal["tcp", "udp"]


class Publication(msgspec.Struct, kw_only=True, frozen=True):
    """A port of the host that leads to one of the guest's, as long as the VM runs."""

    host_port: int
    guest_port: int
    host_address: str = "127.0.0.1"
    protocol: Protocol = "tcp"


class Vm(msgspec.Struct, kw_only=True):
    """A row of the store: what is wanted of a VM and what was last known of it."""

    id: str
    name: str
    state: State
    image_id: str
    image_name: str
    kernel_id: str
    vcpu: int
    memory_mib: int
    disk_bytes: int
    overlay_bytes: int
    network: NetworkMode
    address: str
    nat: bool
    created_at: str
    reason: str = ""
    workspace: str = ""
    touched_at: str = ""
    """When somebody last used it (ssh, exec, cp, console), RFC 3339; empty: never."""
    vmm: VmmWanted = "auto"
    allow: list[str] = msgspec.field(default_factory=list)
    """What it reaches outside although ``nat`` is False, as ``shared.contract.egress`` reads it."""
    publish: list[Publication] = msgspec.field(default_factory=list)


class VmView(msgspec.Struct, kw_only=True):
    """What users are shown of a VM: the row, checked against what really runs."""

    vm: Vm
    access: Access | None = None
    pid: int | None = None
    boot_id: str = ""
    running_vmm: str = ""
    """Which VMM runs it now; ``vm.vmm`` is what was asked for."""
    accel: str = ""
    ports: dict[str, int] = msgspec.field(default_factory=dict)
    """Guest port as "tcp/80" -> port on the VM's address."""
    console_log: str = ""


class VmList(msgspec.Struct, kw_only=True):
    """Answer of ``vm.list``."""

    vms: list[VmView]


class VmRows(msgspec.Struct, kw_only=True):
    """Answer of the store's ``vm.list`` and ``vm.snapshot``; ``seq`` is the last event's."""

    vms: list[Vm]
    seq: int = 0


class VmRef(msgspec.Struct, kw_only=True):
    """A user's reference: exact id or name, else a unique prefix of either."""

    ref: str


class VmRefs(msgspec.Struct, kw_only=True):
    """``vm.resolve``: references of a user, all looked up in one listing."""

    refs: list[str]


class Resolved(msgspec.Struct, kw_only=True):
    """What one reference means: ``id`` and ``name``, or why it means no VM, in ``error``."""

    ref: str
    id: str = ""
    name: str = ""
    error: dict[str, Any] | None = None
    """As ``BangerError.to_wire`` writes it."""


class ResolvedList(msgspec.Struct, kw_only=True):
    """In the order of the references; a VM or reference that came before is left out."""

    resolved: list[Resolved]


class VmId(msgspec.Struct, kw_only=True):
    id: str


class Empty(msgspec.Struct):
    """No arguments, or no result."""


class VmCreate(msgspec.Struct, kw_only=True):
    """``vm.create``: None where the user gave nothing, so that defaults have one home, the api."""

    name: str | None = None
    image: str | None = None
    vcpu: int | None = None
    memory_mib: int | None = None
    disk_bytes: int | None = None
    overlay_bytes: int | None = None
    nat: bool = False
    allow: list[str] = msgspec.field(default_factory=list)
    publish: list[Publication] = msgspec.field(default_factory=list)
    vmm: VmmWanted | None = None
    start: bool = True


class VmReserve(msgspec.Struct, kw_only=True):
    """``vm.reserve``: take the name and the next free address in one transaction."""

    id: str
    name: str
    image_id: str
    image_name: str
    kernel_id: str
    vcpu: int
    memory_mib: int
    disk_bytes: int
    overlay_bytes: int
    nat: bool
    network: NetworkMode
    subnet: str
    """Where the address is taken from, e.g. 127.77.0.0/16."""
    request_id: str
    vmm: VmmWanted = "auto"
    allow: list[str] = msgspec.field(default_factory=list)
    publish: list[Publication] = msgspec.field(default_factory=list)


class RequestRef(msgspec.Struct, kw_only=True):
    """``vm.by_request``: the VM that the request ``request_id`` made, in a list of none or one."""

    request_id: str


class VmUpdate(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``vm.update``: change what is given, leave the rest."""

    id: str
    state: State | None = None
    reason: str | None = None
    vcpu: int | None = None
    memory_mib: int | None = None
    disk_bytes: int | None = None
    nat: bool | None = None
    allow: list[str] | None = None
    publish: list[Publication] | None = None
    touched_at: str | None = None
    vmm: VmmWanted | None = None
    expected: list[State] | None = None
    """Refuse with ``conflict`` unless the row's state is one of these."""


class VmChanged(msgspec.Struct, kw_only=True):
    """Event ``vm.changed``."""

    seq: int
    vm: Vm


class VmDeleted(msgspec.Struct, kw_only=True):
    """Event ``vm.deleted``."""

    seq: int
    id: str


class VmStop(msgspec.Struct, kw_only=True):
    """``vm.stop``: ask the guest; after ``timeout`` seconds end the VMM."""

    ref: str
    timeout: float = 30.0


class VmKill(msgspec.Struct, kw_only=True):
    """``vm.kill``: signal the VMM; ``signal`` is a name of signal(7), with or without SIG."""

    ref: str
    signal: str = "KILL"


class VmSet(msgspec.Struct, kw_only=True):
    """``vm.set``: what is None stays. Sizes and VMM change on a stopped VM only, the egress
    policy always: ``nat`` and ``allow`` together, so that one alone means the other is none."""

    ref: str
    vcpu: int | None = None
    memory_mib: int | None = None
    disk_bytes: int | None = None
    vmm: VmmWanted | None = None
    nat: bool | None = None
    allow: list[str] | None = None


class VmDelete(msgspec.Struct, kw_only=True):
    """``vm.delete``. ``unless_live``: refuse with ``conflict`` a VM that has a VMM, or is about to
    have one; without it, the VMM is killed."""

    ref: str
    unless_live: bool = False


class VmPublish(msgspec.Struct, kw_only=True):
    """``vm.publish``: add ports of the host."""

    ref: str
    publish: list[Publication]


class VmUnpublish(msgspec.Struct, kw_only=True):
    """``vm.unpublish``: take ports of the host away, or ``every`` one.

    ``ports`` are as a user writes them: [HOSTADDR:]HOST:GUEST[/udp], or HOST alone. Without an
    address they mean every address, without a protocol both.
    """

    ref: str
    ports: list[str] = []
    every: bool = False


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
