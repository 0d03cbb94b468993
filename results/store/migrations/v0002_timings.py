# SPDX-License-Identifier: Apache-2.0
"""Add the durations of parts of tests (Rally's atomic actions); earlier runs have none."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column."""
    op.add_column("history_run", sa.Column("timings", sa.LargeBinary))
