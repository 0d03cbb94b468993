# SPDX-License-Identifier: Apache-2.0
"""SQLite under concurrent OpenStack services (SQLAlchemy entry point ``sqlalchemy.plugins``).

A database URL that carries ``?plugin=bsdgate`` gets a connection pool, the
write-ahead log, and BEGIN IMMEDIATE for enginefacade's writers: with the plain
BEGIN of oslo.db a transaction that reads first and writes later fails at once
with "database is locked" when another one has written in between.

Promises of a real database server that are not kept: row locks (one writer at
a time per database), durability against a crash of the machine
(``synchronous=OFF`` is set by the services' own option), and access over a
network.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, CreateEnginePlugin, Engine
from sqlalchemy.pool import QueuePool

POOL_SIZE = 32
"""Connections kept per engine: more than any service here has threads that query at once."""


class _Mode(threading.local):
    """Whether the transaction that this thread is about to begin will write."""

    writer = False


_mode = _Mode()


class EnginePlugin(CreateEnginePlugin):
    """SQLAlchemy engine plugin ``bsdgate``."""

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        """Replace oslo.db's NullPool, which it forces on every SQLite file.

        A connection costs more than the statements of most requests.
        """
        super().__init__(url, kwargs)
        kwargs["poolclass"] = QueuePool
        kwargs["pool_size"] = POOL_SIZE
        kwargs["max_overflow"] = -1
        mark_writers()

    def update_url(self, url: URL) -> URL:
        """Take our own name out of the URL, or the sqlite3 driver refuses it."""
        return url.difference_update_query(["plugin"])

    def engine_created(self, engine: Engine) -> None:
        """Listen before oslo.db does: its ``begin`` listener yields to ours."""
        event.listen(engine, "connect", _write_ahead_log)
        event.listen(engine, "begin", _begin)


def _write_ahead_log(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")


def _begin(connection: Connection) -> None:
    connection.execute(sqlalchemy.text("BEGIN IMMEDIATE" if _mode.writer else "BEGIN"))
    # oslo.db's own listener, which comes after, begins again without this.
    connection.info["in_transaction"] = True


def mark_writers() -> None:
    """Let a thread know, while it opens an enginefacade transaction, that it is a writer.

    enginefacade knows the mode but tells the engine nothing of it, so its two
    openers of transactions are wrapped. Calling this twice changes nothing.
    """
    context = enginefacade._TransactionContext
    if not hasattr(context, "_bsdgate_marked"):
        context._session = _marking(context._session)
        context._connection = _marking(context._connection)
        context._bsdgate_marked = True


def _marking(opener: Callable[..., Any]) -> Callable[..., Any]:
    @contextlib.contextmanager
    def marked(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        before = _mode.writer
        # Not "before or": a reader with a context of its own, inside a writer, has
        # a connection of its own too, and would wait for its own thread for ever.
        _mode.writer = self.mode is enginefacade._WRITER
        try:
            with opener(self, *args, **kwargs) as opened:
                yield opened
        finally:
            _mode.writer = before

    return marked
