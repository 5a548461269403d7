"""What is wanted of a VM becomes one column. ``workspace``, which nothing has used, goes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

COLUMNS: dict[str, tuple[Any, str]] = {
    "image_id": (sa.String, ""),
    "image_name": (sa.String, ""),
    "kernel_id": (sa.String, ""),
    "vcpu": (sa.Integer, "0"),
    "memory_mib": (sa.Integer, "0"),
    "disk_bytes": (sa.BigInteger, "0"),
    "overlay_bytes": (sa.BigInteger, "0"),
    "nat": (sa.Boolean, "0"),
    "vmm": (sa.String, "auto"),
    "allow": (sa.JSON, "[]"),
    "publish": (sa.JSON, "[]"),
}
"""Name -> type, and the default that a new column needs until the rows are filled."""


def _table() -> sa.TableClause:
    columns = [sa.column(name, kind) for name, (kind, _) in COLUMNS.items()]
    return sa.table("vm", sa.column("id", sa.String), sa.column("spec", sa.JSON), *columns)


def upgrade() -> None:
    op.add_column("vm", sa.Column("spec", sa.JSON, nullable=False, server_default="{}"))
    vm, database = _table(), op.get_bind()
    wanted = [vm.c[name] for name in COLUMNS]
    for row in database.execute(sa.select(vm.c.id, *wanted)).mappings().all():
        spec = {name: row[name] for name in COLUMNS}
        database.execute(vm.update().where(vm.c.id == row["id"]).values(spec=spec))
    for name in (*COLUMNS, "workspace"):
        op.drop_column("vm", name)


def downgrade() -> None:
    op.add_column("vm", sa.Column("workspace", sa.String, nullable=False, server_default=""))
    for name, (kind, default) in COLUMNS.items():
        op.add_column("vm", sa.Column(name, kind, nullable=False, server_default=default))
    vm, database = _table(), op.get_bind()
    for row in database.execute(sa.select(vm.c.id, vm.c.spec)).mappings().all():
        known = {name: row["spec"][name] for name in COLUMNS if name in row["spec"]}
        database.execute(vm.update().where(vm.c.id == row["id"]).values(**known))
    op.drop_column("vm", "spec")
