"""Bodies of the store's verbs and events. docs/protocol.md section 8 says who sends which."""

import msgspec

from shared.contract.messages.page import Paged
from shared.contract.messages.vm import Keeper, NetworkMode, Publication, State, Vm, VmSpec
from shared.contract.messages.workspace import Workspace


class VmRows(Paged, kw_only=True):
    """Rows of VMs, oldest first; ``seq`` is the number of the last event before this page."""

    vms: list[Vm]
    seq: int = 0


def row_cursor(created_at: str, vm_id: str) -> str:
    """The cursor of the store's lists that stands after this VM."""
    return f"{created_at} {vm_id}"


class VmReserve(VmSpec, kw_only=True):
    """``vm.reserve``: take a name, the published ports and the next free address at once."""

    id: str
    names: list[str]
    """Candidates; the first that no VM has is taken."""
    network: NetworkMode
    subnet: str
    """Where the address is taken from, e.g. 127.77.0.0/16."""
    request_id: str
    state: State = "created"
    touched_at: str = ""


class VmClaim(msgspec.Struct, kw_only=True):
    """``vm.check``: a name and ports that a VM is about to take.

    The VM with ``id``, or the one that the request ``request_id`` has made, may have them already.
    """

    name: str = ""
    publish: list[Publication] = []
    id: str = ""
    request_id: str = ""


class PoolClaim(VmSpec, kw_only=True):
    """``vm.claim``: the oldest paused VM that the pool has of ``template`` becomes the VM that is
    wanted. It keeps its id and its address, and gets name and specification from here."""

    names: list[str]
    """Candidates; the first that no VM has is taken."""
    network: NetworkMode
    request_id: str
    touched_at: str = ""


class VmUpdate(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``vm.update``: change what is given, leave the rest.

    A specification leaves ``workspaces`` as they are: a transfer may end at any moment.
    """

    id: str
    name: str | None = None
    spec: VmSpec | None = None
    state: State | None = None
    reason: str | None = None
    wakes: bool = False
    """``Vm.wakes`` for the ``state`` that is given; without one it stays as it is."""
    expected: list[State] | None = None
    """Refuse with ``conflict`` unless the row's state is one of these."""
    keeper: Keeper | None = None
    """Refuse with ``conflict`` unless the VM is still this one's."""


class VmWorkspace(msgspec.Struct, kw_only=True):
    """``vm.workspace``: add a workspace, the latest last, or replace the one of its guest path."""

    id: str
    workspace: Workspace


class VmTransition(msgspec.Struct, kw_only=True):
    """``vm.transition``: set ``state`` if the row's is one of ``expected``; else change nothing.

    ``ref`` is a user's reference.
    """

    ref: str
    state: State
    expected: list[State]


class Transition(msgspec.Struct, kw_only=True):
    """The row as it is now, and the state that it had ``before``."""

    vm: Vm
    before: State


class VmTouch(msgspec.Struct, kw_only=True):
    """``vm.touch``: somebody uses the VM; ``at`` is RFC 3339."""

    id: str
    at: str


class VmChanged(msgspec.Struct, kw_only=True):
    """Event ``vm.changed``."""

    seq: int
    vm: Vm


class VmDeleted(msgspec.Struct, kw_only=True):
    """Event ``vm.deleted``."""

    seq: int
    id: str
