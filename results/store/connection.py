# SPDX-License-Identifier: Apache-2.0
"""Connections to the database of the history, for reading and for writing.

SQLite: a file that only its owner can read, with a write-ahead log, so that readers and the one
writer do not wait for each other. The file must be on a local disk: SQLite's locks do not work on
all network file systems. PostgreSQL: all users of the URL share the history.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bsdgate.results.errors import BsdgateError
from bsdgate.results.store.base import StoreError

_TRIES: Final = 100
"""The maximum number of attempts to set up a new file while other processes do the same."""

_FORMS: Final = "give sqlite:////DIR/history.sqlite or postgresql://USER@HOST/DATABASE"

# PostgreSQL's advisory lock: shared for a writer of one run, exclusive for a writer of all runs. No
# other program may use this number in the same database; it spells "bsdgate".
_LOCK: Final = int.from_bytes(b"bsdgate")

# Timeouts in seconds: for another writer of the file, and to connect to a server.
_CONNECT: Final[dict[str, dict[str, Any]]] = {
    "sqlite": {"timeout": 60, "isolation_level": None},
    "postgresql": {"connect_timeout": 15},
}


class Database:
    """An open database; ``place`` is a file, or a URL of SQLite or PostgreSQL.

    If ``place`` is None, the database is in memory. ``dialect`` is ``sqlite`` or ``postgresql``.
    """

    def __init__(self, place: str | Path | None = None) -> None:
        self._url = _url(place) if place is not None else sa.URL.create("sqlite")
        self.dialect = self._url.get_backend_name()
        with self._explained():
            self.engine = self._connected()

    @property
    def named(self) -> str:
        """The name of the database in messages, without the password."""
        if self.dialect == "sqlite":
            return str(self._url.database)
        return self._url.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a connection to read; all statements see the state at the first statement."""
        with self._explained(), self.engine.connect() as connection:
            if self.dialect == "postgresql":
                # All statements see the same state, even if others write in between.
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextlib.contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[sa.Connection]:
        """Open a transaction to write; an exception in the block undoes all its changes.

        SQLite allows one writer at a time. PostgreSQL allows many, unless one writes ``alone``.
        """
        writer = self.engine.execution_options(bsdgate_writes=True)
        with self._explained(), writer.begin() as connection:
            if self.dialect == "postgresql":
                how = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
                connection.execute(sa.text(f"SELECT {how}({_LOCK})"))
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _connected(self) -> sa.Engine:
        if self.dialect == "sqlite" and self._url.database:
            _make_private(Path(self._url.database))
        engine = sa.create_engine(self._url, connect_args=_CONNECT[self.dialect])
        if self.dialect == "sqlite":
            sa.event.listen(engine, "connect", _prepare_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise an error of the database as a BsdgateError with the name of the database."""
        try:
            yield
        except ModuleNotFoundError as error:
            raise BsdgateError(
                f"{self.named} needs the Python module {error.name}, which is not installed",
                "install bsdgate[postgresql]",
            ) from error
        except OSError as error:
            raise _cannot_open(self.named, error) from error
        except (SQLAlchemyError, zlib.error, ValueError, KeyError, TypeError) as error:
            said = str(getattr(error, "orig", None) or error)
            raise StoreError(
                f"the history {self.named}: {' '.join(said.split())}",
                "check that you can access it, or choose another history with BSDGATE_HISTORY_URL",
            ) from error


def _cannot_open(named: str, error: OSError) -> StoreError:
    return StoreError(
        f"cannot open the history {named}: {error.strerror}",
        "check its path and permissions, or choose another history with BSDGATE_HISTORY_URL",
    )


def is_there(place: str | Path) -> bool:
    """Return whether the file of a history exists; True for a server, without a check."""
    url = _url(place)
    if url.get_backend_name() != "sqlite":
        return True
    try:
        return Path(str(url.database)).exists()
    except OSError as error:
        # An unreadable history is not an empty one.
        raise _cannot_open(str(url.database), error) from error


def _url(place: str | Path) -> sa.URL:
    if isinstance(place, Path):
        return sa.URL.create("sqlite", database=str(place))
    try:
        url = sa.make_url(place)
        if url.port is not None and not 0 < url.port < 1 << 16:
            raise ValueError(url.port)
    except ArgumentError:
        raise BsdgateError(f"{_scheme(place)!r} is not a valid URL of a history", _FORMS) from None
    except ValueError:
        # The port may be a part of a password, so the message does not show it.
        raise BsdgateError(
            f"the port in the history's URL, {_scheme(place)!r}, is not a number from 1 to 65535",
            f"{_FORMS}, with HOST:PORT if the port is not 5432",
        ) from None
    if url.get_backend_name() not in _CONNECT:
        raise BsdgateError(f"a history in {url.get_backend_name()} is not supported", _FORMS)
    if url.drivername == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise BsdgateError(f"{place!r} does not contain a file", _FORMS)
    return url


def _scheme(place: str) -> str:
    """Return the scheme of an invalid URL for messages: the rest may contain a password."""
    scheme, found, _ = place.partition("://")
    return f"{scheme}://…" if found else place


def _make_private(path: Path) -> None:
    """Create the file, if absent, with access for its owner only.

    SQLite makes its journal files with the same mode.
    """
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys=ON")
    for _ in range(_TRIES):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        # If two processes change the mode of a new file at once, SQLite refuses one of them because
        # of the deadlock. That process waits for the write lock and tries again.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that began with a read cannot write if another process wrote since then.
    writes = connection.get_execution_options().get("bsdgate_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
