# SPDX-License-Identifier: Apache-2.0
"""SQLite under concurrent OpenStack services (SQLAlchemy entry point ``sqlalchemy.plugins``).

A database URL with ``?plugin=bsdgate`` gets a connection pool, the write-ahead
log, and BEGIN IMMEDIATE for enginefacade's writers. With oslo.db's plain BEGIN,
a transaction that first reads and later writes fails at once with "database is
locked" if another transaction has written meanwhile.

Differences from a real database server: there are no row locks (each database
has one writer at a time), a crash of the machine may lose data (an option of the
services sets ``synchronous=OFF``), and there is no access over a network.
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
"""The number of connections kept per engine: more than the threads of any service."""


class _Mode(threading.local):
    """Whether the transaction that this thread is about to begin will write."""

    writer = False


_mode = _Mode()


class EnginePlugin(CreateEnginePlugin):
    """SQLAlchemy engine plugin ``bsdgate``."""

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        """Replace NullPool, which oslo.db sets for every SQLite file.

        To open a connection takes longer than the statements of most requests.
        """
        super().__init__(url, kwargs)
        kwargs["poolclass"] = QueuePool
        kwargs["pool_size"] = POOL_SIZE
        kwargs["max_overflow"] = -1
        mark_writers()

    def update_url(self, url: URL) -> URL:
        """Return the URL without ``plugin``, which the sqlite3 driver refuses."""
        return url.difference_update_query(["plugin"])

    def engine_created(self, engine: Engine) -> None:
        """Register our listeners first, so that oslo.db's ``begin`` listener runs after ours."""
        event.listen(engine, "connect", _write_ahead_log)
        event.listen(engine, "begin", _begin)


def _write_ahead_log(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")


def _begin(connection: Connection) -> None:
    connection.execute(sqlalchemy.text("BEGIN IMMEDIATE" if _mode.writer else "BEGIN"))
    # Without this oslo.db's listener, which runs next, sends BEGIN again.
    connection.info["in_transaction"] = True


def mark_writers() -> None:
    """Mark a thread as a writer while it is in an enginefacade transaction that writes.

    enginefacade does not pass the mode on to the engine, so its two functions
    that open transactions are wrapped. A second call changes nothing.
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
        # Not "before or": a reader inside a writer may have another context and so
        # another connection. As a writer it would wait for its own thread without end.
        _mode.writer = self.mode is enginefacade._WRITER
        try:
            with opener(self, *args, **kwargs) as opened:
                yield opened
        finally:
            _mode.writer = before

    return marked
