# SPDX-License-Identifier: Apache-2.0
"""The contract on SQLite, and tests for databases only; tests/functional has PostgreSQL."""

import sqlite3
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from unit.results.store.contract import FIRST, StoreContract, verdict
from unit.results.store.old_history import OldHistoryContract
from unit.results.store.plain import PlainStore
from unit.results.store.replacing import ReplacingContract

from bsdgate.results.errors import BsdgateError
from bsdgate.results.model import Cause, Disposition, Result, Verdict
from bsdgate.results.store import connection, migrate
from bsdgate.results.store.base import RunFilter, StoreError
from bsdgate.results.store.connection import Database
from bsdgate.results.store.database import Store
from bsdgate.results.store.tables import SCHEMA, VERSION_TABLE, metadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite"


class TestSqlite(StoreContract, ReplacingContract):
    @pytest.fixture
    def store(self, path: Path) -> Iterator[Store]:
        with Store(path) as store:
            yield store


class TestOldSqlite(OldHistoryContract):
    @pytest.fixture
    def place(self, path: Path) -> Path:
        return path


def sql(path: Path, *statements: str) -> list[tuple[int | str, ...]]:
    """Execute statements without the store; return the rows of the last statement."""
    with sqlite3.connect(path) as database:
        rows = [database.execute(statement).fetchall() for statement in statements]
    database.close()
    return rows[-1]


def test_runs_remain_after_the_store_is_closed(path: Path) -> None:
    with Store(path) as store:
        store.import_run(verdict(1, "sf"))
        kept = store.runs()
    with Store(f"sqlite:///{path}") as store:
        assert store.runs() == kept
        assert not store.import_run(verdict(1, "sf"))


def test_only_the_user_can_access_the_files(path: Path) -> None:
    with Store(path) as store:
        store.import_run(verdict(1))
        assert len(list(path.parent.iterdir())) > 1
        for each in (path.parent, *path.parent.iterdir()):
            assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0, each


def test_equal_lists_are_stored_once(path: Path) -> None:
    with Store(path) as store:
        for number in range(5):
            store.import_run(verdict(number, "ss"))
        store.import_run(verdict(5, "sss"))
        count = "SELECT count(*) FROM history_content"
        assert sql(path, count) == [(3,)]
        store.prune(FIRST + timedelta(hours=5))
        assert sql(path, count) == [(2,)]


def test_migrations_create_the_declared_tables(path: Path) -> None:
    assert migrate.scripts().get_current_head() == SCHEMA
    Store(path).close()
    database = Database(path)
    with database.reading() as one:
        context = MigrationContext.configure(one, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_a_newer_database_is_refused_and_not_changed(path: Path) -> None:
    Store(path).close()
    sql(path, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(BsdgateError, match=r"newer bsdgate \(its schema is 9999\)") as caught:
        Store(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2
    assert sql(path, f"SELECT version_num FROM {VERSION_TABLE}") == [("9999",)]


class Contended:
    """A connection to a new file while others change its mode; SQLite then fails at once."""

    def __init__(self, times: int, code: int = sqlite3.SQLITE_BUSY) -> None:
        self.times, self.code = times, code
        self.done: list[str] = []

    def execute(self, statement: str) -> None:
        self.done.append(statement)
        if "journal_mode" in statement and self.times:
            self.times -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = self.code
            raise error


def test_a_new_file_that_another_process_locks_is_waited_for() -> None:
    contended = Contended(2)
    connection._prepare_sqlite(contended, None)
    waited = ["PRAGMA journal_mode=WAL", "BEGIN IMMEDIATE", "ROLLBACK"]
    assert contended.done == ["PRAGMA foreign_keys=ON", *waited * 2, "PRAGMA journal_mode=WAL"]
    with pytest.raises(sqlite3.OperationalError):
        connection._prepare_sqlite(Contended(1, sqlite3.SQLITE_IOERR), None)


def test_an_empty_file_is_initialised(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with Store(path) as store:
        assert store.import_run(verdict(1))


def test_tables_of_other_programs_are_not_changed(path: Path) -> None:
    path.parent.mkdir()
    mine = "INSERT INTO alembic_version VALUES ('theirs')"
    sql(path, "CREATE TABLE alembic_version (version_num TEXT)", mine, "CREATE TABLE run (id INT)")
    with Store(path) as store:
        store.import_run(verdict(1))
    assert sql(path, "SELECT version_num FROM alembic_version") == [("theirs",)]


def test_a_file_that_is_not_a_database_is_reported(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("something else " * 99)
    with pytest.raises(StoreError, match="history.sqlite: file is not a database"):
        Store(path)
    assert path.read_text().startswith("something else")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("about", "''"),
        ("about", "'[]'"),
        ("about", "'{}'"),
        ("notes", "x'00'"),
        ("ids", "x'00'"),
        ("outcomes", "x'73'"),
        ("outcomes", "x'7300'"),
        ("seconds", "x'00'"),
    ],
)
def test_a_damaged_column_is_reported(path: Path, column: str, value: str) -> None:
    with Store(path) as store:
        store.import_run(verdict(1, "ss"))
        sql(path, f"UPDATE history_run SET {column} = {value}")
        with pytest.raises(StoreError, match="history.sqlite"):
            store.window()


def test_a_path_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file/history.sqlite: Not a directory"):
        Store(tmp_path / "file" / "history.sqlite")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nowhere", "'nowhere' is not a valid URL of a history"),
        ("mysql://me@db/history", "mysql is not supported"),
        ("sqlite://", "does not contain a file"),
        ("sqlite:///:memory:", "does not contain a file"),
    ],
)
def test_an_unsupported_url_is_refused(url: str, message: str) -> None:
    with pytest.raises(BsdgateError, match=message) as caught:
        Store(url)
    assert caught.value.exit_code == 2


def test_an_unreachable_server_is_reported_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    url = f"postgresql://me:secret@/history?host={tmp_path}"
    with pytest.raises(StoreError, match=r"postgresql.*me:\*\*\*@") as caught:
        Store(url)
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(BsdgateError, match="needs the Python module psycopg") as caught:
        Store("postgresql://me@db/history")
    assert "bsdgate[postgresql]" in str(caught.value)


def test_reads_succeed_while_another_connection_writes(path: Path) -> None:
    with Store(path) as store:
        store.import_run(verdict(1))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM history_run")
        assert len(store.window()) == 1
        other.execute("COMMIT")
        other.close()
        assert len(store.window()) == 0


def test_a_lock_beyond_the_timeout_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(path).close()
    monkeypatch.setitem(connection._CONNECT["sqlite"], "timeout", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Store(path) as store, pytest.raises(StoreError, match="database is locked"):
        store.import_run(verdict(1))
    other.close()


letters = st.text("sfkxunpmd", max_size=3)
marks = st.sets(st.sampled_from("abc")).map(sorted).map(tuple)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    cases = draw(letters)
    failed = tuple(
        Disposition(
            f"t{place}",
            draw(st.booleans()),
            draw(st.sampled_from(Cause)),
            signature=draw(st.text(max_size=3)),
        )
        for place, letter in enumerate(cases)
        if letter == "f"
    )
    return verdict(
        draw(st.integers(0, 5)),
        cases,
        suite=draw(st.sampled_from(["smoke", "gate"])),
        change=draw(st.sampled_from(["", "1,1"])),
        result=draw(st.sampled_from(Result)),
        dispositions=failed,
        unmatched=draw(marks),
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("twin") / "history.sqlite") as store:
        yield store


@given(st.lists(verdicts(), max_size=6), st.booleans(), st.integers(0, 6))
def test_the_database_returns_the_same_as_the_plain_store(
    database: Store, made: list[Verdict], changed: bool, hour: int
) -> None:
    plain = PlainStore()
    database.prune(FIRST + timedelta(days=1))
    before = FIRST + timedelta(hours=hour)
    for one in made:
        assert database.import_run(one) == plain.import_run(one)
    for run_filter in (RunFilter(), RunFilter("gate", changed=changed), RunFilter(before=before)):
        assert everything(database, run_filter) == everything(plain, run_filter)
    assert database.prune(before) == plain.prune(before)
    assert everything(database, RunFilter()) == everything(plain, RunFilter())


def everything(store: Store | PlainStore, run_filter: RunFilter) -> tuple[Any, ...]:
    """Return the results of all reading methods of a store."""
    window = store.window(run_filter, 4)
    return (
        store.runs(run_filter),
        [store.baseline(record.run) for record in store.runs()],
        [store.find(record.run.name) for record in store.runs()],
        (window.records, window.ids, window.series(), window.unmatched()),
        window.past(["t0", "t1", "t2"]),
        [window.history(test) for test in window.ids],
    )
