# SPDX-License-Identifier: Apache-2.0
"""Add the time when a verdict was made; earlier rows have none."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("history_run", sa.Column("judged", sa.DateTime))
