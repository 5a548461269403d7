"""When a VM was last used by somebody."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("vm", sa.Column("touched_at", sa.String, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("vm", "touched_at")
