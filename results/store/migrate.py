# SPDX-License-Identifier: Apache-2.0
"""Migrates the tables of a history to the newest schema, or refuses tables of a newer bsdgate.

All migrations run in one transaction, in one process at a time; if the process is killed, the
history does not change. The migrations are modules of the package ``migrations``, which Alembic
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
    """Return the migrations of the installed bsdgate."""
    (folder,) = migrations.__path__
    return ScriptDirectory(Path(folder), version_locations=[folder])


def upgrade(database: Database, target: str = "head") -> None:
    """Migrate the tables to the revision ``target``.

    :raises BsdgateError: a newer bsdgate made or migrated the tables.
    """
    known = scripts()

    def steps(revision: tuple[str, ...], _context: MigrationContext) -> object:
        try:
            # Private, but Alembic's own commands and its cookbook call it.
            return known._upgrade_revs(target, revision)  # type: ignore[arg-type] # noqa: SLF001
        except CommandError:
            raise BsdgateError(
                f"{database.named} is of a newer bsdgate (its schema is {revision[0]})",
                "upgrade bsdgate, or choose another history with BSDGATE_HISTORY_URL",
            ) from None

    with database.writing(alone=True) as connection:
        options = {"version_table": VERSION_TABLE, "fn": steps}
        context = MigrationContext.configure(connection, opts=options)
        with Operations.context(context):
            context.run_migrations()
