# SPDX-License-Identifier: Apache-2.0
"""Earlier runs in a database: SQLite for one machine, PostgreSQL for several."""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    Text,
    and_,
    column,
    delete,
    func,
    inspect,
    or_,
    select,
    table,
    union,
)
from sqlalchemy.dialects import postgresql, sqlite

from bsdgate.results.model import Verdict
from bsdgate.results.store.base import ANY, WINDOW, Scope, Store
from bsdgate.results.store.connection import Database
from bsdgate.results.store.rows import (
    PastRun,
    Record,
    about,
    ascii_of,
    notes_in,
    notes_out,
    pack,
    record_of,
)
from bsdgate.results.store.tables import SCHEMA, VERSION_TABLE, contents, runs
from bsdgate.results.store.window import Window

# The two dialects have the same ON CONFLICT, by the same name, in two places.
_INSERT: Final[Mapping[str, Callable[[Table], Any]]] = MappingProxyType(
    {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
)

_HEAD: Final = (runs.c.about, runs.c.versions)
_BODY: Final = (*_HEAD, runs.c.ids, runs.c.outcomes, runs.c.notes, runs.c.seconds)
_NEWEST: Final = (runs.c.created.desc(), runs.c.run_id.desc())
_AT_ONCE: Final = 500
"""Values in one statement, within the limits of all databases."""


class DatabaseStore(Store):
    """A store in a file of SQLite or on a server; ``place`` is a path or a URL.

    A missing database is created, an older one is migrated. Raises BsdgateError for a database of a
    newer bsdgate, and for an invalid place.
    """

    def __init__(self, place: str | Path) -> None:
        self._database = Database(place)
        try:
            self._bring_up_to_date()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def import_run(self, verdict: Verdict) -> bool:
        """Store a run."""
        run = pack(verdict)
        shared = {"versions": dict(run.record.run.versions), "ids": run.ids}
        texts = {name: json.dumps(content).encode() for name, content in shared.items()}
        digests = {name: hashlib.sha256(text).digest() for name, text in texts.items()}
        insert = _INSERT[self._database.dialect]
        row = insert(runs).values(_columns(run) | digests)
        changes = {column.name: row.excluded[column.name] for column in runs.c}
        later = or_(
            runs.c.judged < row.excluded.judged,
            and_(runs.c.judged.is_(None), row.excluded.judged.is_not(None)),
        )
        with self._database.writing() as connection:
            # In order, so that two importers cannot deadlock.
            for name in sorted(digests, key=lambda name: digests[name]):
                content = {"digest": digests[name], "content": zlib.compress(texts[name])}
                connection.execute(insert(contents).values(content).on_conflict_do_nothing())
            # Unchanged rows are not returned. The condition is that of Record.replaces.
            done = connection.execute(
                row.on_conflict_do_update(
                    index_elements=[runs.c.run_id],
                    set_=changes,
                    where=and_(runs.c.digest != row.excluded.digest, later),
                ).returning(runs.c.run_id)
            ).all()
        return bool(done)

    def runs(self, scope: Scope = ANY, limit: int = WINDOW) -> tuple[Record, ...]:
        """Return the records of runs, without their tests."""
        query = select(*_HEAD).where(*_conditions(scope)).order_by(*_NEWEST).limit(limit)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            shared = _shared(connection, (row.versions for row in rows))
            return tuple(_record(row, shared) for row in rows)

    def window(self, scope: Scope = ANY, limit: int = WINDOW) -> Window:
        """Return the newest runs with their tests."""
        query = select(*_BODY).where(*_conditions(scope)).order_by(*_NEWEST).limit(limit)
        with self._database.reading() as connection:
            return Window(_past_runs(connection, connection.execute(query).all()))

    def find(self, name: str) -> PastRun | None:
        """Return one run."""
        wanted = ascii_of(name)
        exact = runs.c.run_id == wanted
        # Not LIKE: its case sensitivity differs between databases.
        both = (runs.c.run_id, runs.c.name)
        begun = or_(*(func.substr(each, 1, len(wanted)) == wanted for each in both))
        with self._database.reading() as connection:
            for condition, most in ((exact, 1), (runs.c.name == wanted, None), (begun, 1)):
                query = select(*_BODY).where(condition).order_by(*_NEWEST).limit(2)
                rows = connection.execute(query).all()
                if rows and (most is None or len(rows) <= most):
                    return _past_runs(connection, rows[:1])[0]
        return None

    def prune(self, before: datetime) -> int:
        """Delete runs, and the lists that no run uses any more."""
        with self._database.writing(alone=True) as connection:
            gone = connection.execute(delete(runs).where(runs.c.created < _utc(before))).rowcount
            used = union(select(runs.c.ids), select(runs.c.versions))
            connection.execute(delete(contents).where(contents.c.digest.not_in(used)))
        return gone

    def _bring_up_to_date(self) -> None:
        with self._database.reading() as connection:
            if inspect(connection).has_table(VERSION_TABLE):
                version = table(VERSION_TABLE, column("version_num", Text))
                if connection.scalar(select(version.c.version_num)) == SCHEMA:
                    return
        # Alembic takes a tenth of a second to import, and nearly always there is nothing to do.
        from bsdgate.results.store import migrate  # noqa: PLC0415

        migrate.upgrade(self._database)


def _columns(run: PastRun) -> dict[str, Any]:
    record = run.record
    named = {
        name: ascii_of(getattr(record.run, name))
        for name in ("run_id", "name", "suite", "profile", "release", "selection")
    }
    return named | {
        "created": _utc(record.run.created),
        "changed": record.run.changed,
        "result": str(record.result),
        "digest": run.digest,
        "about": json.dumps(about(record)),
        "outcomes": run.outcomes,
        "notes": zlib.compress(json.dumps(notes_out(run.notes)).encode()),
        "seconds": run.seconds,
        "judged": _utc(record.judged) if record.judged else None,
    }


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _conditions(scope: Scope) -> Iterable[ColumnElement[bool]]:
    for name, value in scope.wanted.items():
        yield runs.c[name] == (ascii_of(value) if isinstance(value, str) else value)
    if scope.before is not None:
        yield runs.c.created < _utc(scope.before)
    yield runs.c.result.in_(sorted(scope.results))


def _shared(connection: Connection, digests: Iterable[bytes]) -> Mapping[bytes, Any]:
    """Read the lists that runs share, each once."""
    wanted = sorted(set(digests))
    found = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = contents.c.digest.in_(wanted[start : start + _AT_ONCE])
        for row in connection.execute(select(contents).where(some)):
            content = json.loads(zlib.decompress(row.content))
            found[row.digest] = content if isinstance(content, dict) else tuple(content)
    return found


def _past_runs(connection: Connection, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[PastRun]:
    shared = _shared(connection, (digest for row in rows for digest in (row.versions, row.ids)))
    return [
        PastRun(
            record=_record(row, shared),
            ids=shared[row.ids],
            outcomes=row.outcomes,
            seconds=row.seconds,
            notes=notes_in(json.loads(zlib.decompress(row.notes))),
        )
        for row in rows
    ]


def _record(row: Row[*tuple[Any, ...]], shared: Mapping[bytes, Any]) -> Record:
    return record_of(json.loads(row.about), shared[row.versions])
