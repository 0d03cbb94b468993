# SPDX-License-Identifier: Apache-2.0
"""Remove the SHA-256 of each run, which nothing reads."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Remove the column."""
    op.drop_column("history_run", "digest")
