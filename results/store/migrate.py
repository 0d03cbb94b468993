# SPDX-License-Identifier: Apache-2.0
"""Brings a history's tables up to date, or refuses those of a newer bsdgate.

All migrations are one transaction, which only one process has at a time: a process that is killed
in it leaves the history as it was. They are modules of the package ``migrations``, which Alembic
reads without an env.py.
"""

from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from bsdgate.results.errors import BsdgateError
from bsdgate.results.store import migrations
from bsdgate.results.store.connection import Database
from bsdgate.results.store.tables import VERSION_TABLE


def scripts() -> ScriptDirectory:
    """Return the migrations that this bsdgate knows."""
    (folder,) = migrations.__path__
    return ScriptDirectory(Path(folder), version_locations=[folder])


def upgrade(database: Database, target: str = "head") -> None:
    """Bring the tables up to a revision; raise BsdgateError if they are of a newer bsdgate."""
    known = scripts()

    def steps(revision: tuple[str, ...], _context: MigrationContext) -> object:
        try:
            # What Alembic's own commands and its cookbook call.
            return known._upgrade_revs(target, revision)  # type: ignore[arg-type] # noqa: SLF001
        except CommandError:
            raise BsdgateError(
                f"{database.named} was made by a newer bsdgate (its schema is {revision[0]})",
                "upgrade bsdgate, or choose another history with BSDGATE_HISTORY_URL",
            ) from None

    with database.writing(alone=True) as connection:
        options = {"version_table": VERSION_TABLE, "fn": steps}
        context = MigrationContext.configure(connection, opts=options)
        with Operations.context(context):
            context.run_migrations()
