"""Between the rows of the database and the structs of the contract, by their fields.

The specification of a VM is one column (docs/decisions/0018): a new field of ``VmSpec`` needs
nothing here.
"""

from typing import Any

import msgspec

from services.store.tables.models import VmRow
from shared.contract.messages.vm import Publication, Vm, VmSpec

COLUMNS = tuple(column.name for column in VmRow.__table__.columns if column.name != "spec")


def vm_of(row: VmRow) -> Vm:
    return msgspec.convert({**row.spec, **{name: getattr(row, name) for name in COLUMNS}}, Vm)


def spec_column(spec: VmSpec) -> dict[str, Any]:
    """What the column holds of ``spec``, which may be of a struct with more fields."""
    return {name: msgspec.to_builtins(getattr(spec, name)) for name in VmSpec.__struct_fields__}


def published(row: VmRow) -> list[Publication]:
    return msgspec.convert(row.spec.get("publish", []), list[Publication])
