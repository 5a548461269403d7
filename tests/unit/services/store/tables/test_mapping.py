"""A row and its struct have the same fields, whatever fields those are."""

from msgspec.structs import asdict

from services.store.tables.mapping import COLUMNS, published, spec_column, vm_of
from services.store.tables.models import VmRow
from shared.contract.messages.vm import Publication, Vm, VmSpec
from tests.example import example_vm

PORT = Publication(host_port=8080, guest_port=80)


def row_of(vm: Vm) -> VmRow:
    return VmRow(spec=spec_column(vm), **{name: getattr(vm, name) for name in COLUMNS})


def test_every_field_of_a_vm_is_a_column_or_in_the_specification() -> None:
    assert sorted((*COLUMNS, *VmSpec.__struct_fields__)) == sorted(Vm.__struct_fields__)


def test_a_vm_comes_back_as_it_went() -> None:
    vm = example_vm(vmm="qemu", nat=True, allow=["db.vm"], publish=[PORT], reason="a reason")
    assert asdict(vm_of(row_of(vm))) == asdict(vm)
    assert published(row_of(vm)) == [PORT]


def test_a_field_that_is_newer_than_the_row_has_its_default() -> None:
    row = row_of(example_vm(nat=True))
    row.spec = {name: value for name, value in row.spec.items() if name not in ("nat", "publish")}
    assert vm_of(row) == example_vm()
    assert published(row) == []


def test_a_field_that_is_newer_than_the_program_is_ignored() -> None:
    row = row_of(example_vm())
    row.spec = {**row.spec, "colour": "green", "name": "not this one"}
    assert vm_of(row) == example_vm()
