"""Which VMM was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("vm", sa.Column("vmm", sa.String, nullable=False, server_default="auto"))


def downgrade() -> None:
    op.drop_column("vm", "vmm")
