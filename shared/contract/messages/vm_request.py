"""Bodies of the requests that make, change, use and end virtual machines. docs/protocol.md
section 8 says who sends which.

Sizes are in MiB for memory and in bytes for disks. Unknown fields are ignored by the decoder.
"""

from typing import Annotated, Literal

import msgspec

from shared.contract.messages.guest_run import CommandWish
from shared.contract.messages.vm import (
    IdleLimit,
    Lease,
    Publication,
    VmmWanted,
    VmRef,
    WaitFor,
)

LONGEST_COMMAND = 1 << 17
LONGEST_INPUT = 1 << 18
"""Bytes of standard input that a guest's agent is given."""
LONGEST_EXEC = 600
"""Seconds that a command run by a guest's agent may take."""


class VmChoice(msgspec.Struct, kw_only=True):
    """What a user may choose of a VM's specification; None where nothing was chosen.

    ``nat`` and ``allow`` are one policy: where one is given and the other is not, the other is
    none.
    """

    vcpu: int | None = None
    memory_mib: int | None = None
    disk_bytes: int | None = None
    overlay_bytes: int | None = None
    vmm: VmmWanted | None = None
    nat: bool | None = None
    allow: list[str] | None = None
    labels: dict[str, str | None] | None = None
    """Changes, as ``shared.contract.labels`` merges them: None removes a label."""
    idle_suspend: IdleLimit | Literal["default"] | None = None
    """As ``VmSpec.idle_suspend``; "default" for what the configuration says."""


class VmCreate(VmChoice, kw_only=True):
    """``vm.create``: defaults for what was not chosen have one home, the api.

    ``from_vm`` refers to a VM: the new one begins as a copy of what that is now, or of its snapshot
    ``from_snapshot``. What is not chosen is then as it is there: image, kernel, sizes, VMM, egress
    and workspaces. Labels, published ports and lease are the new one's own. ``invalid`` for
    ``from_snapshot`` alone, for an image beside ``from_vm``, and for what a copied memory fixes:
    the sizes and the VMM.
    """

    name: str | None = None
    image: str | None = None
    publish: list[Publication] = msgspec.field(default_factory=list)
    start: bool = True
    wait: WaitFor = "ready"
    lease: Lease = ""
    command: CommandWish | None = None
    """What is to be run in it once it answers; whoever asks runs it."""
    auth_file: str = ""
    """As of ``ImagePull``, for an image that has to be pulled first."""
    from_vm: str = ""
    from_snapshot: str = ""
    cold: bool = False
    """Boot it, even if there is a template that it could be made of."""


class VmSet(VmChoice, kw_only=True):
    """``vm.set``: what is None stays. Sizes and VMM change on a stopped VM only."""

    ref: str


class GuestExec(msgspec.Struct, kw_only=True):
    """A command for a guest whose ssh is broken, run by its agent.

    ``text`` is the command as ``guest_command.text_of`` packs it. ``seconds``: what it may take.
    """

    text: Annotated[str, msgspec.Meta(max_length=LONGEST_COMMAND)]
    stdin: Annotated[bytes, msgspec.Meta(max_length=LONGEST_INPUT)] = b""
    seconds: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_EXEC)] = LONGEST_EXEC


class VmExec(GuestExec, kw_only=True):
    """``vm.exec``."""

    ref: str


class GuestOutput(msgspec.Struct, kw_only=True):
    """How a command ended, as a shell has it, and the first 512 KiB of each of its outputs."""

    status: int
    stdout: bytes
    stderr: bytes


class VmRename(msgspec.Struct, kw_only=True):
    """``vm.rename``: give a VM, running or not, another name."""

    ref: str
    name: str


class VmStart(VmRef, kw_only=True):
    """``vm.start``: boots a VM, or brings a suspended one back. ``discard_memory``: boot a
    suspended one from its disks, as after a power cut; no other state has such memory."""

    wait: WaitFor = "ready"
    discard_memory: bool = False


class VmStop(msgspec.Struct, kw_only=True):
    """``vm.stop``: ask the guest; after ``timeout`` seconds end the VMM."""

    ref: str
    timeout: float = 30.0


class VmRestart(VmStop, kw_only=True):
    """``vm.restart``."""

    wait: WaitFor = "ready"


class VmKill(msgspec.Struct, kw_only=True):
    """``vm.kill``: signal the VMM; ``signal`` is a name of signal(7), with or without SIG."""

    ref: str
    signal: str = "KILL"


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
