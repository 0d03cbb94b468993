# SPDX-License-Identifier: Apache-2.0
"""The tables of the history. What they are called lets them share a database with others."""

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
"""The newest migration: what the tables below are like."""

VERSION_TABLE: Final = "history_version"

metadata = MetaData()

# By the SHA-256 of what is in it.
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
    # Texts are as JSON has them between quotes: no evidence holds what a database refuses then.
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
    # The largest come last: SQLite walks through them to whatever is behind.
    Column("seconds", LargeBinary, nullable=False),
    # In UTC; NULL where the verdict does not say when it was made.
    Column("judged", DateTime),
    Index("history_run_created", "created", "run_id"),
    Index("history_run_scope", "suite", "profile", "created"),
    Index("history_run_name", "name", "created"),
    Index("history_run_ids", "ids"),
    Index("history_run_versions", "versions"),
)
