# SPDX-License-Identifier: Apache-2.0
"""When a verdict was made; earlier ones do not say."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("history_run", sa.Column("judged", sa.DateTime))
