# SPDX-License-Identifier: Apache-2.0
"""The history with concurrent and killed processes, and with a real PostgreSQL."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from functional.place import wait_for
from sqlalchemy import event, func, select, text
from sqlalchemy.engine import Engine
from unit.results.store.contract import FIRST, StoreContract, numbers, stored_run, verdict
from unit.results.store.old_history import OldHistoryContract
from unit.results.store.replacing import ReplacingContract

from bsdgate.results.errors import BsdgateError
from bsdgate.results.store import migrate
from bsdgate.results.store.base import WINDOW
from bsdgate.results.store.connection import Database
from bsdgate.results.store.database import Store
from bsdgate.results.store.tables import VERSION_TABLE, contents, metadata, runs

# On Debian the programs of the server are not on the PATH.
SERVERS = ":".join(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))
UNPRIVILEGED_USER = "nobody"
"""The account without rights that each Linux and FreeBSD has: PostgreSQL refuses to run as root."""
PROGRAMS = {
    name: shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SERVERS}") or ""
    for name in ("initdb", "postgres", "pg_isready")
}


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """Run a PostgreSQL that listens only on a socket; return the directory of the socket."""
    missing = [name for name, path in PROGRAMS.items() if not path]
    if missing:
        pytest.skip(f"no PostgreSQL here: {', '.join(missing)} not found")
    pytest.importorskip("psycopg", exc_type=ImportError)
    # Not in pytest's directory: the server does not run as root, and other users may not enter it.
    folder = Path(tempfile.mkdtemp(prefix="bsdgate-pg-"))
    credentials = _unprivileged(folder) if os.getuid() == 0 else {}
    try:
        with _postgres(folder, credentials):
            yield folder
    finally:
        shutil.rmtree(folder)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Give the folder to the system's user without rights; return how to run a program as it."""
    account = pwd.getpwnam(UNPRIVILEGED_USER)
    os.chown(folder, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def _postgres(folder: Path, credentials: dict[str, Any]) -> Iterator[None]:
    data = folder / "data"
    initdb = [PROGRAMS["initdb"], "-D", str(data), "-U", "bsdgate", "-A", "trust", "-E", "UTF8"]
    subprocess.run(
        [*initdb, "--locale=C", "--no-sync"],
        cwd=folder,
        check=True,
        capture_output=True,
        **credentials,
    )
    options = ["-c", "listen_addresses=", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        popen = subprocess.Popen(
            [PROGRAMS["postgres"], "-D", str(data), "-k", str(folder), *options],
            cwd=folder,
            stdout=log,
            stderr=log,
            **credentials,
        )
    try:
        ask = [PROGRAMS["pg_isready"], "-q", "-h", str(folder)]
        wait_for(lambda: subprocess.run(ask, check=False).returncode == 0, "PostgreSQL")
        yield
    finally:
        popen.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        popen.wait(60)


@pytest.fixture
def postgresql(server: Path) -> str:
    """Return the URL of an empty database."""
    import psycopg

    with psycopg.connect(host=str(server), user="bsdgate", dbname="postgres") as connection:
        connection.autocommit = True
        connection.execute("DROP DATABASE IF EXISTS history WITH (FORCE)")
        connection.execute("CREATE DATABASE history")
    return f"postgresql://bsdgate@/history?host={server}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database that does not exist yet or is empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'history.sqlite'}"
    return str(request.getfixturevalue("postgresql"))


class TestOldPostgresql(OldHistoryContract):
    @pytest.fixture
    def place(self, postgresql: str) -> str:
        return postgresql


class TestPostgresql(StoreContract, ReplacingContract):
    @pytest.fixture
    def store(self, postgresql: str) -> Iterator[Store]:
        with Store(postgresql) as store:
            yield store


def test_migrations_make_the_schema_of_the_tables(postgresql: str) -> None:
    Store(postgresql).close()
    database = Database(postgresql)
    with database.reading() as one:
        context = MigrationContext.configure(one, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_a_newer_database_is_refused(url: str) -> None:
    Store(url).close()
    database = Database(url)
    with database.writing() as one:
        one.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    database.close()
    with pytest.raises(BsdgateError, match="newer bsdgate"):
        Store(url)


def test_an_older_database_is_brought_up_to_date(url: str) -> None:
    database = Database(url)
    migrate.upgrade(database, "0001")
    database.close()
    with Store(url) as store:
        assert store.import_run(verdict(1, "sf", judged=FIRST))
        assert store.import_run(verdict(2, "sf", timings={"t0/a": 1.5}))
        assert [len(points) for points in store.window().series().values()] == [2, 1]


def test_a_read_is_consistent(url: str) -> None:
    count = select(func.count()).select_from(runs)
    with Store(url) as store:
        store.import_run(verdict(1))
        database = Database(url)
        with database.reading() as one:
            assert one.scalar(count) == 1
            store.import_run(verdict(2))
            assert one.scalar(count) == 1
        with database.reading() as one:
            assert one.scalar(count) == 2
        database.close()


class Forked:
    """A child process that does some work."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                work()
                status = 0
            except BaseException:  # noqa: BLE001 - the test reports it
                traceback.print_exc()
            finally:
                os._exit(status)

    def end(self) -> int:
        """Wait for its end; return its exit code, or the negative signal that ended it."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


@pytest.mark.timeout(300)
def test_concurrent_imports_lose_nothing(url: str, tmp_path: Path) -> None:
    """Four processes import the same runs into a database that does not exist yet."""
    parts = [range(40), range(20, 60), range(59, 19, -1), range(39, -1, -1)]

    def work(part: range, report: Path, gate: int) -> None:
        os.read(gate, 1)  # which ends when all have started and the writing end is closed
        with Store(url) as store:
            new = [store.import_run(verdict(number, "sf" * (number % 4))) for number in part]
        report.write_text(str(sum(new)))

    reading, writing = os.pipe()
    reports = [tmp_path / f"report-{place}" for place in range(len(parts))]

    def begin(part: range, path: Path) -> Forked:
        def work_of_its_own() -> None:
            os.close(writing)
            work(part, path, reading)

        return Forked(work_of_its_own)

    started = [begin(part, path) for part, path in zip(parts, reports, strict=True)]
    os.close(writing)
    assert [each.end() for each in started] == [0, 0, 0, 0]
    os.close(reading)
    assert sum(int(path.read_text()) for path in reports) == 60
    with Store(url) as store:
        assert numbers(store.runs()) == list(range(59, -1, -1))
        for number in range(60):
            assert stored_run(store, f"run-{number}").outcomes == b"sf" * (number % 4)


def test_concurrent_pruning_and_importing_are_correct(url: str) -> None:
    """A list that is deleted with the last run must not be missing in the next run."""
    Store(url).close()

    def keep() -> None:
        with Store(url) as store:
            for number in range(60):
                store.import_run(verdict(number, "s" * (number % 3)))

    def forget() -> None:
        with Store(url) as store:
            for number in range(60):
                store.prune(verdict(number).run.created)

    assert [each.end() for each in [Forked(keep), Forked(forget)]] == [0, 0]
    with Store(url) as store:
        assert len(store.window()) == len(store.runs())
        assert numbers(store.runs())[0] == 59


def killed_at(moment: int, work: Callable[[], object]) -> int:
    """Do work in a process that SIGKILL ends at its nth statement or commit; return the status.

    The status is 0 if the work has fewer statements and commits.
    """

    def count(*_arguments: object, **_named: object) -> None:
        nonlocal moment
        moment -= 1
        if moment < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def listen_and_work() -> None:
        for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(Engine, name, count)
        work()

    return Forked(listen_and_work).end()


def counted(url: str) -> tuple[int, int]:
    """Count the rows of the tables."""
    database = Database(url)
    with database.reading() as one:
        counts = [select(func.count()).select_from(each) for each in (runs, contents)]
        found = [int(one.scalar(each) or 0) for each in counts]
    database.close()
    return found[0], found[1]


@pytest.mark.timeout(300)
def test_a_killed_import_leaves_no_part_of_a_run(url: str) -> None:
    with Store(url) as store:
        store.import_run(verdict(1, "s"))
    before = counted(url)

    def work() -> None:
        with Store(url) as store:
            store.import_run(verdict(2, "ssf", versions={"tempest": "48"}))

    moment = 0
    while (ended := killed_at(moment, work)) != 0:
        assert ended == -signal.SIGKILL
        assert counted(url) == before, f"killed at {moment}"
        moment += 1
    assert moment > 6
    assert counted(url) == (2, 4)
    with Store(url) as store:
        assert numbers(store.runs(limit=WINDOW)) == [2, 1]
        assert not store.import_run(verdict(2, "ssf", versions={"tempest": "48"}))


@pytest.mark.timeout(300)
def test_a_killed_replacement_does_not_change_the_run(url: str) -> None:
    with Store(url) as store:
        store.import_run(verdict(1, "s"))
        before = store.find("run-1")

    def work() -> None:
        with Store(url) as store:
            store.import_run(verdict(1, "ssf", judged=FIRST))

    moment = 0
    while killed_at(moment, work) != 0:
        with Store(url) as store:
            assert store.find("run-1") == before, f"killed at {moment}"
        moment += 1
    assert moment > 6
    with Store(url) as store:
        assert stored_run(store, "run-1").outcomes == b"ssf"


@pytest.mark.timeout(300)
def test_a_killed_creation_of_the_database_is_repeated(url: str) -> None:
    moment = 0
    while killed_at(moment, lambda: Store(url).close()) != 0:
        moment += 1
    assert moment > 10
    with Store(url) as store:
        assert store.import_run(verdict(1))
