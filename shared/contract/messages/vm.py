"""What a virtual machine is, how requests name it, and what they give back. docs/protocol.md
section 8 says who sends which. Requests that change one are in vm_request.py.

Sizes are in MiB for memory and in bytes for disks. Unknown fields are ignored by the decoder.
"""

from typing import Annotated, Any, Literal

import msgspec

from shared.contract.messages.guest_run import CommandWish, GuestRun
from shared.contract.messages.page import After, Paged
from shared.contract.messages.workspace import Workspace
from shared.contract.ssh_access import Access

State = Literal[
    "created", "starting", "running", "paused", "suspended", "stopping", "stopped", "failed"
]
NetworkMode = Literal["user", "bridge"]
VmmName = str
"""One of ``shared.vmm.registry``."""
VmmWanted = str
"""The same, or auto: the first that can run this VM at the time it is started."""


Protocol = Literal["tcp", "udp"]

WaitFor = Literal["ready", "system"]
"""When a start is done: when agent and ssh answer, or when the guest's systemd has finished too."""


class Publication(msgspec.Struct, kw_only=True, frozen=True):
    """A port of the host that leads to one of the guest's, as long as the VM runs."""

    host_port: int
    guest_port: int
    host_address: str = "127.0.0.1"
    protocol: Protocol = "tcp"


Lease = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{16})?$")]
"""The name of a file in ``Paths.leases``, which its holder keeps locked."""


Keeper = Literal["", "template", "pool"]
"""Whose a VM is: a user's (""), or one that the services keep, to save it as a template or to have
it ready for the next user. Users see, name and reach their own only; the name of another is its id,
which no user's VM can have."""


IdleLimit = Annotated[float, msgspec.Meta(ge=0, le=366 * 86400)]


class VmSpec(msgspec.Struct, kw_only=True):
    """What is wanted of a VM: what it boots from, what it has, and what it may reach.

    A field that is added here with a default reaches row, reservation and supervisor by itself.
    """

    image_id: str
    image_name: str
    kernel_id: str
    vcpu: int
    memory_mib: int
    disk_bytes: int
    overlay_bytes: int
    vmm: VmmWanted = "auto"
    nat: bool = False
    allow: list[str] = msgspec.field(default_factory=list)
    """What it reaches outside although ``nat`` is False, as ``shared.contract.egress`` reads it."""
    publish: list[Publication] = msgspec.field(default_factory=list)
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    lease: Lease = ""
    """Of the command that the VM is to live as long as; empty: until it is deleted."""
    workspaces: list[Workspace] = msgspec.field(default_factory=list)
    """Repositories that were placed in the guest, the latest last; each guest path once."""
    origin: str = ""
    """What it was made of: "fork of NAME" or "snapshot NAME/SNAPSHOT", as they were called then;
    empty: an image."""
    template: str = ""
    """The key of the template that it was made of, or, with ``keeper`` "template", is made for."""
    keeper: Keeper = ""
    idle_suspend: IdleLimit | None = None
    """Seconds without use after which it is suspended, 0 for never; None: ``idle_suspend_after`` of
    the configuration."""
    from_pool: bool = False
    """Whether it was made before it was asked for, and waited in the pool."""


LONGEST_REASON = 500
"""Characters of ``Vm.reason``, which may be what a guest says."""


class Vm(VmSpec, kw_only=True):
    """A row of the store: what is wanted of a VM and what was last known of it."""

    id: str
    name: str
    state: State
    network: NetworkMode
    address: str
    created_at: str
    reason: str = ""
    touched_at: str = ""
    """When somebody last used it (ssh, exec, cp, console), RFC 3339; empty: never."""
    wakes: bool = False
    """Whether it was suspended because nobody used it, and so comes back when somebody does. True
    until it runs again, also while it is ``starting``."""


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
    notices: list[str] = msgspec.field(default_factory=list)
    """Sentences for somebody who is about to work in the guest: of a boot, and of ``vm.access``."""
    command: GuestRun | None = None
    """What the image makes of the command that ``vm.create`` or ``vm.access`` was asked with; None
    when it is run as it was asked for."""
    exposed: list[str] | None = None
    """What the image says that it listens on, as "80/tcp"; only from ``vm.create`` and ``vm.show``,
    and None where the image says nothing."""
    snapshots: int | None = None
    """How many it has, which a delete deletes too; only from ``vm.show`` and ``vm.prunable``."""
    idle_limit: float | None = None
    """Seconds without use after which it is suspended, by its own limit or the configuration's; 0
    for never. Only from ``vm.show``."""
    awake: str = ""
    """Why it is not suspended although it has an idle limit, as it was at the last look; only from
    ``vm.show``. May quote the guest."""


class VmFilter(After, kw_only=True):
    """``vm.list``: show the VMs that pass all ``filters``, written as users write them."""

    filters: list[str] = msgspec.field(default_factory=list)


class VmList(Paged, kw_only=True):
    """Answer of ``vm.list`` and ``vm.prunable``."""

    vms: list[VmView]


class VmRef(msgspec.Struct, kw_only=True):
    """A reference, as ``shared.contract.reference`` reads it."""

    ref: str


class VmAccess(VmRef, kw_only=True):
    """``vm.access``; ``command`` is what is about to be run there, if that is known."""

    command: CommandWish | None = None


class VmRefs(msgspec.Struct, kw_only=True):
    """``vm.resolve``: references of a user, all looked up in one listing. ``whole_names``: the
    beginning of a name is not enough."""

    refs: list[str]
    whole_names: bool = False


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
