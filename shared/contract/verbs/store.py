"""Verbs of the store, the only process that opens the database."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import page, rows, vm
else:
    page = Structs("shared.contract.messages.page")
    rows = Structs("shared.contract.messages.rows")
    vm = Structs("shared.contract.messages.vm")

SECONDS = 30.0
"""An fsync on a disk that others keep busy takes seconds."""

VM_GET = Verb("store", "vm.get", vm.VmRef, vm.Vm, seconds=SECONDS)
VM_RESOLVE = Verb("store", "vm.resolve", vm.VmRefs, vm.ResolvedList, seconds=SECONDS)
VM_LIST = Verb("store", "vm.list", page.After, rows.VmRows, seconds=SECONDS)
VM_SNAPSHOT = Verb("store", "vm.snapshot", page.After, rows.VmRows, seconds=SECONDS)
VM_CHECK = Verb(
    "store",
    "vm.check",
    rows.VmClaim,
    type(None),
    seconds=SECONDS,
    notes="`conflict` when another VM has the name or one of the ports",
)
VM_RESERVE = Verb(
    "store",
    "vm.reserve",
    rows.VmReserve,
    vm.Vm,
    seconds=SECONDS,
    notes="the same request id gives the same VM; `conflict` as `vm.check`",
)
VM_CLAIM = Verb(
    "store",
    "vm.claim",
    rows.PoolClaim,
    vm.Vm,
    seconds=SECONDS,
    notes="takes a VM out of the pool: each one once, and the same request id gives the same VM; "
    "`not_found` when the pool has none, `conflict` as `vm.check` before one is taken",
)
VM_UPDATE = Verb(
    "store", "vm.update", rows.VmUpdate, vm.Vm, seconds=SECONDS, notes="`conflict` as `vm.check`"
)
VM_WORKSPACE = Verb(
    "store",
    "vm.workspace",
    rows.VmWorkspace,
    vm.Vm,
    seconds=SECONDS,
    notes="no event: no projection depends on it. `conflict` for one more than a VM may have",
)
VM_TRANSITION = Verb(
    "store",
    "vm.transition",
    rows.VmTransition,
    rows.Transition,
    seconds=SECONDS,
    notes="one answer for a reference, its row, and a change of state that may not be due",
)
VM_TOUCH = Verb(
    "store",
    "vm.touch",
    rows.VmTouch,
    type(None),
    seconds=SECONDS,
    notes="no event: no projection depends on when a VM was used. No error without the VM",
)
VM_REMOVE = Verb("store", "vm.remove", vm.VmId, type(None), seconds=SECONDS)
