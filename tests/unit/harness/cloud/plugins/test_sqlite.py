# SPDX-License-Identifier: Apache-2.0
"""The SQLite plugin under oslo.db's enginefacade, with real threads and files."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from bsdgate.harness.cloud.plugins import sqlite

# oslo.db uses functions that it deprecates itself.
pytestmark = pytest.mark.filterwarnings("ignore")

WRITERS, TURNS = 4, 25


@enginefacade.transaction_context_provider
class Context:
    """The context that a service passes to enginefacade with each request."""


@pytest.fixture
def facade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    sqlalchemy.dialects.plugins.register(
        "bsdgate", "bsdgate.harness.cloud.plugins.sqlite", "EnginePlugin"
    )
    facade = enginefacade.transaction_context()
    facade.configure(
        connection=f"sqlite:///{tmp_path}/main.sqlite?timeout=5&plugin=bsdgate",
        sqlite_synchronous=False,
    )
    with facade.writer.using(Context()) as session:
        session.execute(sqlalchemy.text("CREATE TABLE counter (value INTEGER)"))
        session.execute(sqlalchemy.text("INSERT INTO counter VALUES (0)"))
    yield facade
    facade.writer.get_engine().dispose()


def read(session: Session) -> Any:
    return session.execute(sqlalchemy.text("SELECT value FROM counter")).scalar()


def test_pool_and_write_ahead_log_are_set(facade: Any) -> None:
    engine = facade.writer.get_engine()
    assert isinstance(engine.pool, QueuePool)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_writers_that_read_first_lose_no_update(facade: Any) -> None:
    def count(_number: int) -> None:
        for _turn in range(TURNS):
            with facade.writer.using(Context()) as session:
                value = read(session)
                session.execute(sqlalchemy.text(f"UPDATE counter SET value = {value + 1}"))

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(count, range(WRITERS)))
    with facade.reader.using(Context()) as session:
        assert read(session) == WRITERS * TURNS


def test_a_reader_inside_a_writer_does_not_wait_for_its_own_thread(facade: Any) -> None:
    """Neutron reads with another context while it writes; this once waited without end."""
    with facade.writer.using(Context()) as session:
        session.execute(sqlalchemy.text("UPDATE counter SET value = 7"))
        with facade.reader.using(Context()) as inner:
            assert read(inner) == 0
        session.execute(sqlalchemy.text("UPDATE counter SET value = value + 1"))
    with facade.reader.using(Context()) as session:
        assert read(session) == 8


def test_readers_do_not_wait_for_a_writer(facade: Any) -> None:
    written, done = threading.Event(), threading.Event()

    def write() -> None:
        with facade.writer.using(Context()) as session:
            session.execute(sqlalchemy.text("UPDATE counter SET value = 7"))
            written.set()
            assert done.wait(10)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        assert written.wait(10)
        with facade.reader.using(Context()) as session:
            assert read(session) == 0
        done.set()
        writing.result()


def test_a_writer_that_fails_leaves_no_lock(facade: Any) -> None:
    def fail() -> None:
        with facade.writer.using(Context()) as session:
            session.execute(sqlalchemy.text("UPDATE counter SET value = 7"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not sqlite._mode.writer
    with facade.writer.using(Context()) as session:
        assert read(session) == 0


def test_marking_twice_changes_nothing(facade: Any) -> None:
    before = enginefacade._TransactionContext._session
    sqlite.mark_writers()
    assert enginefacade._TransactionContext._session is before
