"""Which suspended VMs come back when somebody uses them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    wakes = sa.Column("wakes", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("vm", wakes)


def downgrade() -> None:
    op.drop_column("vm", "wakes")
