# SPDX-License-Identifier: Apache-2.0
"""The tables of the history; their common prefix allows other tables in the same database."""

from typing import Final

import sqlalchemy as sa

SCHEMA: Final = "0005"
"""The revision of the newest migration, after which the tables are as defined below."""

VERSION_TABLE: Final = "history_version"

metadata = sa.MetaData()

# A reference to a list in history_content: the SHA-256 of the list.
_LIST: Final = sa.LargeBinary(32)

contents = sa.Table(
    "history_content",
    metadata,
    # Lists of test ids and of versions as compressed JSON; runs with the same list share one row.
    sa.Column("digest", _LIST, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

runs = sa.Table(
    "history_run",
    metadata,
    # Texts are ASCII JSON strings without quotes, so that every database accepts them.
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    # In UTC: not every database has time zones.
    sa.Column("created", sa.DateTime, nullable=False),
    sa.Column("suite", sa.Text, nullable=False),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("release", sa.Text, nullable=False),
    sa.Column("selection", sa.Text, nullable=False),
    sa.Column("changed", sa.Boolean, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("versions", _LIST, sa.ForeignKey("history_content.digest"), nullable=False),
    sa.Column("ids", _LIST, sa.ForeignKey("history_content.digest"), nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("outcomes", sa.LargeBinary, nullable=False),
    sa.Column("notes", sa.LargeBinary, nullable=False),
    # The largest columns come last: SQLite reads them to get the columns that follow.
    sa.Column("seconds", sa.LargeBinary, nullable=False),
    # In UTC; NULL if the verdict does not have the time when it was made.
    sa.Column("judged", sa.DateTime),
    sa.Index("history_run_created", "created", "run_id"),
    sa.Index("history_run_scope", "suite", "profile", "created"),
    sa.Index("history_run_name", "name", "created"),
    sa.Index("history_run_ids", "ids"),
    sa.Index("history_run_versions", "versions"),
)
