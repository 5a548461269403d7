"""The first schema: VMs, the requests that made them, and the number of the last change."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "vm",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("image_id", sa.String, nullable=False),
        sa.Column("image_name", sa.String, nullable=False),
        sa.Column("kernel_id", sa.String, nullable=False),
        sa.Column("vcpu", sa.Integer, nullable=False),
        sa.Column("memory_mib", sa.Integer, nullable=False),
        sa.Column("disk_bytes", sa.BigInteger, nullable=False),
        sa.Column("overlay_bytes", sa.BigInteger, nullable=False),
        sa.Column("network", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("nat", sa.Boolean, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
        sa.UniqueConstraint("network", "address", name="uq_vm_network_address"),
    )
    op.create_table(
        "mutation",
        sa.Column("request_id", sa.String, primary_key=True),
        sa.Column("vm_id", sa.String, sa.ForeignKey("vm.id", ondelete="CASCADE"), nullable=False),
    )
    sequence = op.create_table(
        "sequence",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
    )
    op.bulk_insert(sequence, [{"id": 1, "seq": 0}])


def downgrade() -> None:
    for table in ("mutation", "vm", "sequence"):
        op.drop_table(table)
