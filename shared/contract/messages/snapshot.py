"""Bodies of the verbs about snapshots and forks.

A snapshot is a saved machine that a user made of one VM: its disks, and the memory of its guest if
that ran. It has a name, which is unique among the snapshots of its VM, and goes with its VM.
"""

from typing import Annotated, Literal

import msgspec

from shared.contract.messages.page import After, Paged
from shared.contract.messages.vm import State

CopyForm = Literal["reflink", "sparse"]
"""How disks are copied: sharing blocks with the original until one is written, where the
filesystem can do that; else as files of their own, without their holes."""

MOST_SNAPSHOTS = 200
"""That a VM may have."""
MOST_FORKS = 100
"""That one request may make."""

SnapshotName = Annotated[str, msgspec.Meta(max_length=255)]
"""As ``shared.contract.names`` has it, which says what is wrong with a name."""


class Snapshot(msgspec.Struct, kw_only=True):
    """Sizes of memory are in MiB, others in bytes."""

    vm_id: str
    vm_name: str
    name: str
    created_at: str
    """When the guest stood still for it, RFC 3339."""
    memory: bool
    """Whether it has the guest's memory: a VM that is restored from it goes on where it was.
    Without memory it has only the disks, from which a VM boots."""
    image_id: str
    image_name: str
    kernel_id: str
    vcpu: int
    memory_mib: int
    vmm: str = ""
    """The VMM that can load its memory; "" without memory, as the next two."""
    vmm_version: str = ""
    cpu: str = ""
    copied: CopyForm
    pause_seconds: float
    """How long the guest stood still for it; 0 for one that did not run."""
    real_bytes: int
    """What it occupies. Blocks that reflinks share are counted."""
    problems: list[str] = []
    """Sentences: what is damaged, and why this host cannot restore it any more. ``snapshot.list``
    compares the sizes of files, image, kernel and the VMM's version; ``snapshot.show`` sums,
    processor and clock too, which takes longer. Others are shown without these comparisons."""


class SnapshotCreate(msgspec.Struct, kw_only=True):
    """``snapshot.create``. ``name``: None for one made of the time, as 2026-11-29-1130. ``memory``:
    save that too if the VM has any."""

    ref: str
    name: SnapshotName | None = None
    memory: bool = True


class SnapshotFilter(After, kw_only=True):
    """``snapshot.list``: those of the VM ``ref``, of every VM without it; the oldest first."""

    ref: str = ""


class SnapshotList(Paged, kw_only=True):
    snapshots: list[Snapshot]


class SnapshotRef(msgspec.Struct, kw_only=True):
    """``ref`` is the VM's; ``name`` is exact: snapshots have no ids and no prefixes."""

    ref: str
    name: SnapshotName


class SnapshotRestore(SnapshotRef, kw_only=True):
    """``snapshot.restore``. ``force``: also when something is lost. Without it that is a
    ``conflict``, whose ``details["lost"]`` are sentences that say what. ``memory``: False for the
    disks of a snapshot that has memory; the VM is stopped then."""

    force: bool = False
    memory: bool = True


class SnapshotDelete(msgspec.Struct, kw_only=True):
    """``snapshot.delete``: all of ``names`` or, when one is not there, none."""

    ref: str
    names: Annotated[list[SnapshotName], msgspec.Meta(min_length=1, max_length=MOST_SNAPSHOTS)]


class SnapshotsDeleted(msgspec.Struct, kw_only=True):
    """In the order of the request, each once. ``real_bytes``: what they occupied together."""

    vm_id: str
    vm_name: str
    deleted: list[str]
    real_bytes: int


class VmFork(msgspec.Struct, kw_only=True):
    """``vm.fork``: make ``count`` new VMs of what ``ref`` is now, or of its ``snapshot``.

    ``name``: what one is called, and what several begin with: NAME-1, NAME-2 and so on, or
    ``conflict`` when one of these is taken. None: the VM's name and the first numbers that are
    free. Each new VM runs if it has a memory; a copy of disks alone is ``stopped``. ``labels`` are
    those of the new VMs, as ``VmChoice`` has them; the rest is as for ``VmCreate.from_vm``.
    """

    ref: str
    name: str | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST_FORKS)] = 1
    snapshot: SnapshotName = ""
    labels: dict[str, str | None] = {}


class Fork(msgspec.Struct, kw_only=True):
    id: str
    name: str
    state: State
    address: str


class Forked(msgspec.Struct, kw_only=True):
    """``vms`` in the order of their names' numbers. ``pause_seconds``: how long the guest of the
    first stood still; 0 for one that did not run, and for a snapshot."""

    vms: list[Fork]
    pause_seconds: float
    copied: CopyForm
