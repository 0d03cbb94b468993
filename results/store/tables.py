# SPDX-License-Identifier: Apache-2.0
"""The tables of the history. Their prefix lets them share a database with other tables."""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

SCHEMA: Final = "0004"
"""The newest migration, which results in the tables below."""

VERSION_TABLE: Final = "history_version"

metadata = MetaData()

# A reference to a list in history_content: the SHA-256 of its content.
_LIST: Final = LargeBinary(32)

contents = Table(
    "history_content",
    metadata,
    # Lists of ids and of versions, compressed JSON, each once however many runs have it.
    Column("digest", _LIST, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

runs = Table(
    "history_run",
    metadata,
    # Texts are encoded as in JSON, without the quotes, so that every database accepts them.
    Column("run_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # In UTC: not every database knows zones.
    Column("created", DateTime, nullable=False),
    Column("suite", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("selection", Text, nullable=False),
    Column("changed", Boolean, nullable=False),
    Column("result", Text, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("versions", _LIST, ForeignKey("history_content.digest"), nullable=False),
    Column("ids", _LIST, ForeignKey("history_content.digest"), nullable=False),
    Column("about", Text, nullable=False),
    Column("outcomes", LargeBinary, nullable=False),
    Column("notes", LargeBinary, nullable=False),
    # The largest columns come last: SQLite has to read them to reach the columns behind.
    Column("seconds", LargeBinary, nullable=False),
    # In UTC; NULL where the verdict does not say when it was made.
    Column("judged", DateTime),
    Index("history_run_created", "created", "run_id"),
    Index("history_run_scope", "suite", "profile", "created"),
    Index("history_run_name", "name", "created"),
    Index("history_run_ids", "ids"),
    Index("history_run_versions", "versions"),
)
