"""Verbs of the store, the only process that opens the database."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import vm
else:
    vm = Structs("shared.contract.messages.vm")

SECONDS = 30.0
"""An fsync on a disk that others keep busy takes seconds."""

VM_GET = Verb("store", "vm.get", vm.VmRef, vm.Vm, seconds=SECONDS)
VM_RESOLVE = Verb("store", "vm.resolve", vm.VmRefs, vm.ResolvedList, seconds=SECONDS)
VM_RESERVE = Verb(
    "store",
    "vm.reserve",
    vm.VmReserve,
    vm.Vm,
    seconds=SECONDS,
    notes="takes the name and the next free address; the same request id gives the same VM",
)
VM_BY_REQUEST = Verb(
    "store",
    "vm.by_request",
    vm.RequestRef,
    vm.VmRows,
    seconds=SECONDS,
    notes="the VM that this request made, none or one",
)
VM_UPDATE = Verb("store", "vm.update", vm.VmUpdate, vm.Vm, seconds=SECONDS)
VM_REMOVE = Verb("store", "vm.remove", vm.VmId, type(None), seconds=SECONDS)
VM_LIST = Verb("store", "vm.list", vm.Empty, vm.VmRows, seconds=SECONDS)
VM_SNAPSHOT = Verb("store", "vm.snapshot", vm.Empty, vm.VmRows, seconds=SECONDS)
