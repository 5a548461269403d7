"""Between the rows of the database and the structs of the contract, by their fields.

The specification of a VM is one column (docs/decisions/0018): a new field of ``VmSpec`` needs
nothing here.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from services.store.tables.models import VmRow
from shared.contract.messages.vm import LONGEST_REASON, Publication, Vm, VmSpec
from shared.errors import BangerError, Code
from shared.plain_text import printable

LONGEST_TEXT = 255
"""Characters of any other text. A name has 63 at most, an id 16."""
SPEC_BYTES = 128 * 1024
"""Size of a specification, encoded: a row has to fit into a message."""
COLUMNS = tuple(column.name for column in VmRow.__table__.columns if column.name != "spec")


def vm_of(row: VmRow) -> Vm:
    vm = msgspec.convert({**row.spec, **{name: getattr(row, name) for name in COLUMNS}}, Vm)
    vm.reason = printable(vm.reason, LONGEST_REASON)  # an earlier version may have stored more
    return vm


def spec_column(spec: VmSpec) -> dict[str, Any]:
    """What the column holds of ``spec``, which may be of a struct with more fields.

    Raises:
        BangerError: ``too_large`` for more than ``SPEC_BYTES``.
    """
    fields = {name: _stored(getattr(spec, name)) for name in VmSpec.__struct_fields__}
    size = len(msgspec.json.encode(fields))
    if size > SPEC_BYTES:
        raise BangerError(
            Code.TOO_LARGE,
            f"egress list, labels, ports and workspaces of the VM have {size} bytes, "
            f"more than the {SPEC_BYTES} that are stored",
            hint="use networks (192.0.2.0/24) and names such as *.example.org in the egress list",
        )
    return fields


def spec_but_workspaces(spec: VmSpec, row: VmRow) -> dict[str, Any]:
    """``spec_column`` with the workspaces that the row has."""
    return spec_column(replace(spec, workspaces=vm_of(row).workspaces))


def _stored(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value, LONGEST_TEXT)
    return msgspec.to_builtins(value)


def published(row: VmRow) -> list[Publication]:
    return msgspec.convert(row.spec.get("publish", []), list[Publication])
