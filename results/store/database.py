# SPDX-License-Identifier: Apache-2.0
"""The store of earlier runs: SQLite for one machine, PostgreSQL for several."""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bsdgate.results.model import Result, Run, Verdict
from bsdgate.results.store.base import ANY, WINDOW, Baseline, RunFilter, compared_versions
from bsdgate.results.store.connection import Database
from bsdgate.results.store.rows import (
    NAMED,
    NOTES,
    RECORDS,
    PastRun,
    Record,
    ascii_of,
    pack,
)
from bsdgate.results.store.tables import SCHEMA, VERSION_TABLE, contents, metadata, runs
from bsdgate.results.store.window import Window


class Store:
    """The earlier runs, without duplicates, in SQLite or PostgreSQL.

    ``place`` is a path or a URL; without it, the store is in memory and lost when it is closed.
    A missing database is created, an older one is migrated. Every method reads a consistent state
    and may raise StoreError.

    :raises BsdgateError: ``place`` is invalid, or a newer bsdgate made or migrated the database.
    """

    def __init__(self, place: str | Path | None = None) -> None:
        self._database = Database(place)
        try:
            if place is not None:
                self._bring_up_to_date()
            else:
                with self._database.writing() as connection:
                    metadata.create_all(connection)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def import_run(self, verdict: Verdict) -> bool:
        """Store a run, in full or not at all; return whether the store changed.

        A verdict replaces the stored verdict on the same run only if it was made later
        (``Verdict.judged``). A verdict without that time is older than any verdict with it.

        :raises EvidenceError: the verdict cannot be stored (see ``pack``).
        """
        run = pack(verdict)
        shared = {"versions": dict(run.record.run.versions), "ids": run.ids}
        texts = {name: json.dumps(content).encode() for name, content in shared.items()}
        digests = {name: hashlib.sha256(text).digest() for name, text in texts.items()}
        # SQLAlchemy has ON CONFLICT once for each dialect, with the same methods.
        is_sqlite = self._database.dialect == "sqlite"
        insert: Callable[[sa.Table], Any] = sqlite.insert if is_sqlite else postgresql.insert
        row = insert(runs).values(_columns(run) | digests)
        # The comparison is NULL if one of the two times is unknown.
        judged = row.excluded.judged
        later = sa.func.coalesce(runs.c.judged < judged, judged.is_not(None))
        with self._database.writing() as connection:
            # Sorted, so that two concurrent imports cannot deadlock.
            for name in sorted(digests, key=lambda name: digests[name]):
                content = {"digest": digests[name], "content": zlib.compress(texts[name])}
                connection.execute(insert(contents).values(content).on_conflict_do_nothing())
            # RETURNING returns no row if nothing was changed.
            done = connection.execute(
                row.on_conflict_do_update(
                    index_elements=[runs.c.run_id], set_=row.excluded, where=later
                ).returning(runs.c.run_id)
            ).all()
        return bool(done)

    def runs(self, run_filter: RunFilter = ANY, limit: int = WINDOW) -> tuple[Record, ...]:
        """Return the records of at most ``limit`` runs, newest first, without their tests."""
        query = _newest(limit, *_conditions(run_filter)).with_only_columns(
            runs.c.about, runs.c.versions
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            shared = _shared(connection, query, runs.c.versions)
            return tuple(_record(row, shared) for row in rows)

    def window(self, run_filter: RunFilter = ANY, limit: int = WINDOW) -> Window:
        """Return at most ``limit`` runs with their tests, newest first."""
        return Window(self._past_runs(_newest(limit, *_conditions(run_filter))))

    def find(self, name: str) -> PastRun | None:
        """Return the run with this id, or the newest run with this name; None if there is none.

        A prefix of an id or a name is enough if exactly one run has it.
        """
        wanted = ascii_of(name)
        # Not LIKE: its case sensitivity differs between databases.
        both = (runs.c.run_id, runs.c.name)
        begun = sa.or_(*(sa.func.substr(each, 1, len(wanted)) == wanted for each in both))
        for condition in (runs.c.run_id == wanted, runs.c.name == wanted):
            if found := self._past_runs(_newest(1, condition)):
                return found[0]
        found = self._past_runs(_newest(2, begun))
        return found[0] if len(found) == 1 else None

    def filters(self, run_filter: RunFilter = ANY, limit: int = WINDOW) -> tuple[RunFilter, ...]:
        """Return a filter for each pair of profile and suite in the newest runs, sorted by name.

        All other fields are copied from ``run_filter``.
        """
        found = {(one.run.profile, one.run.suite) for one in self.runs(run_filter, limit)}
        return tuple(
            replace(run_filter, profile=profile, suite=suite) for profile, suite in sorted(found)
        )

    def baseline(self, run: Run) -> Baseline | None:
        """Return the last good run that ``run`` can be compared with; None if there is none.

        That run passed, was created earlier, has the same suite, profile, release and selection,
        and had no change under test. A run with the same versions is preferred, however old it is;
        the versions of the projects under test in ``run`` are not compared.
        """
        run_filter = RunFilter(
            suite=run.suite,
            profile=run.profile,
            release=run.release,
            selection=run.selection,
            changed=False,
            before=run.created,
            results=frozenset({Result.PASS}),
        )
        earlier = [record for record in self.runs(run_filter) if record.run.run_id != run.run_id]
        mine = compared_versions(run, run)
        same = [record for record in earlier if compared_versions(record.run, run) == mine]
        for record in (same or earlier)[:1]:
            if found := self.find(record.run.run_id):
                return Baseline(record, found.ran, same_versions=bool(same))
        return None

    def prune(self, before: datetime) -> int:
        """Delete the runs created before that time; return the number of deleted runs."""
        with self._database.writing(alone=True) as connection:
            gone = connection.execute(sa.delete(runs).where(runs.c.created < _utc(before))).rowcount
            used = sa.union(sa.select(runs.c.ids), sa.select(runs.c.versions))
            connection.execute(sa.delete(contents).where(contents.c.digest.not_in(used)))
        return gone

    def _past_runs(self, query: sa.Select[Any]) -> list[PastRun]:
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            shared = _shared(connection, query, runs.c.versions, runs.c.ids)
            return [
                PastRun(
                    record=_record(row, shared),
                    ids=tuple(shared[row.ids]),
                    outcomes=row.outcomes,
                    seconds=row.seconds,
                    notes=NOTES.validate_json(zlib.decompress(row.notes)),
                )
                for row in rows
            ]

    def _bring_up_to_date(self) -> None:
        with self._database.reading() as connection:
            if sa.inspect(connection).has_table(VERSION_TABLE):
                version = sa.table(VERSION_TABLE, sa.column("version_num", sa.Text))
                if connection.scalar(sa.select(version.c.version_num)) == SCHEMA:
                    return
        # Importing Alembic takes a tenth of a second, and migrations are rarely needed.
        from bsdgate.results.store import migrate  # noqa: PLC0415

        migrate.upgrade(self._database)


def _newest(limit: int, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    newest = (runs.c.created.desc(), runs.c.run_id.desc())
    return sa.select(runs).where(*conditions).order_by(*newest).limit(limit)


def _conditions(run_filter: RunFilter) -> Iterable[sa.ColumnElement[bool]]:
    for name in ("suite", "profile", "release", "selection"):
        if (value := getattr(run_filter, name)) is not None:
            yield runs.c[name] == ascii_of(value)
    if run_filter.changed is not None:
        yield runs.c.changed == run_filter.changed
    if run_filter.before is not None:
        yield runs.c.created < _utc(run_filter.before)
    yield runs.c.result.in_(sorted(run_filter.results))


def _columns(run: PastRun) -> dict[str, Any]:
    record = run.record
    without = {"run": {"versions"}}
    about = RECORDS.dump_python(record, mode="json", exclude_none=True, exclude=without)
    return {name: ascii_of(getattr(record.run, name)) for name in NAMED} | {
        "created": _utc(record.run.created),
        "changed": record.run.changed,
        "result": str(record.result),
        "about": json.dumps(about),
        "outcomes": run.outcomes,
        "notes": zlib.compress(NOTES.dump_json(run.notes, exclude_none=True)),
        "seconds": run.seconds,
        "judged": _utc(record.judged) if record.judged else None,
    }


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _shared(
    connection: sa.Connection, query: sa.Select[Any], *columns: sa.ColumnElement[bytes]
) -> Mapping[bytes, Any]:
    """Return the lists that ``columns`` of the runs refer to, by digest."""
    found = query.with_only_columns(*columns).subquery()
    wanted = sa.union(*map(sa.select, found.c))
    rows = connection.execute(sa.select(contents).where(contents.c.digest.in_(wanted)))
    return {row.digest: json.loads(zlib.decompress(row.content)) for row in rows}


def _record(row: sa.Row[*tuple[Any, ...]], shared: Mapping[bytes, Any]) -> Record:
    about = json.loads(row.about)
    about["run"]["versions"] = shared[row.versions]
    return RECORDS.validate_python(about)
