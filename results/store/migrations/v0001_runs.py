# SPDX-License-Identifier: Apache-2.0
"""Create the first tables: runs, and the lists of test ids and versions that they share."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

DIGEST = "history_content.digest"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "history_content",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "history_run",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("suite", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("release", sa.Text, nullable=False),
        sa.Column("selection", sa.Text, nullable=False),
        sa.Column("changed", sa.Boolean, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("versions", sa.LargeBinary(32), sa.ForeignKey(DIGEST), nullable=False),
        sa.Column("ids", sa.LargeBinary(32), sa.ForeignKey(DIGEST), nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("outcomes", sa.LargeBinary, nullable=False),
        sa.Column("notes", sa.LargeBinary, nullable=False),
        sa.Column("seconds", sa.LargeBinary, nullable=False),
    )
    op.create_index("history_run_created", "history_run", ["created", "run_id"])
    op.create_index("history_run_scope", "history_run", ["suite", "profile", "created"])
    op.create_index("history_run_name", "history_run", ["name", "created"])
    op.create_index("history_run_ids", "history_run", ["ids"])
    op.create_index("history_run_versions", "history_run", ["versions"])
