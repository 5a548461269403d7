"""What a VM may reach outside beside all or nothing, and its ports that the host publishes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

COLUMNS = ("allow", "publish")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("vm", sa.Column(name, sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("vm", name)
