# SPDX-License-Identifier: Apache-2.0
"""The history compared with the simplest layout, a row for each test of each run.

``tox -e bench``; printed, not asserted.
"""

import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from bsdgate.results.model import Case, Cause, Disposition, Outcome, Past, Result, Run, Verdict
from bsdgate.results.store.base import RunFilter
from bsdgate.results.store.database import Store
from bsdgate.results.store.rows import pack

RUNS, CASES = 200, 2000
SEED = 3
T = TypeVar("T")
MINE = RunFilter(suite="gate", profile="embedded", changed=False)


def show(what: str, ours: float, rows: float | None = None, unit: str = "ms") -> None:
    print(f"  {what:52} {ours:9.1f} {unit}" + (f" {rows:9.1f} {unit}" if rows is not None else ""))


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the best of three times in milliseconds, and the result."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        found = work()
        best = min(best, (time.perf_counter() - began) * 1000)
    return best, found


def make_verdicts() -> list[Verdict]:
    chance = random.Random(SEED)
    ids = sorted(
        f"tempest.api.compute.test_things_{number % 97}.ThingsTest.test_{number}"
        f"[id-{chance.getrandbits(32):08x}-0000-4000-8000-{number:012x},smoke]"
        for number in range(CASES)
    )
    versions = {f"package-{number}": f"{number}.0" for number in range(230)}
    kinds, odds = [Outcome.SUCCESS, Outcome.SKIP, Outcome.FAIL], [89.8, 10, 0.2]
    made = []
    for number in range(RUNS):
        outcomes = chance.choices(kinds, odds, k=CASES)
        cases = tuple(
            Case(test, outcome, seconds=chance.uniform(0.01, 9))
            for test, outcome in zip(ids, outcomes, strict=True)
        )
        signature = "TimeoutError: after <n> s @ waiters.py:wait"
        failed = tuple(
            Disposition(case.id, True, Cause.FLAKE, signature=signature)
            for case in cases
            if case.outcome is Outcome.FAIL
        )
        run = Run(
            run_id=f"{number:032x}",
            created=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number),
            profile="embedded",
            suite="gate",
            versions=versions,
        )
        result = Result.FAIL if failed else Result.PASS
        made.append(Verdict(run, result, (), cases, dispositions=failed))
    return made


class Rows:
    """The best form of the other layout: sqlite3, clustered by run, with a covering index."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.executescript(
            "PRAGMA journal_mode=WAL;"
            "CREATE TABLE test (id INTEGER PRIMARY KEY, name TEXT UNIQUE);"
            "CREATE TABLE run (id INTEGER PRIMARY KEY, run_id TEXT UNIQUE, created TEXT);"
            "CREATE TABLE outcome (run INT, test INT, outcome INT, seconds REAL, signature TEXT,"
            " PRIMARY KEY (run, test)) WITHOUT ROWID;"
            "CREATE INDEX by_test ON outcome (test, run, outcome, signature);"
        )

    def import_run(self, verdict: Verdict) -> None:
        run, do = pack(verdict), self.database.execute
        do("BEGIN IMMEDIATE")
        head = (run.record.run.run_id, run.record.run.created.isoformat())
        (number,) = do(
            "INSERT INTO run (run_id, created) VALUES (?, ?) RETURNING id", head
        ).fetchone()
        names = [(test,) for test in run.ids]
        self.database.executemany("INSERT OR IGNORE INTO test (name) VALUES (?)", names)
        known = dict(do("SELECT name, id FROM test"))
        signatures = {one.id: one.signature for one in run.notes.dispositions}
        self.database.executemany(
            "INSERT INTO outcome VALUES (?, ?, ?, ?, ?)",
            [
                (number, known[case.id], letter, case.seconds, signatures.get(case.id))
                for case, letter in zip(verdict.cases, run.outcomes, strict=True)
            ],
        )
        do("COMMIT")

    def past(self, ids: list[str]) -> dict[str, list[tuple[int, str]]]:
        wanted = ",".join("?" * len(ids))
        query = (
            # In this order, because SQLite would read all tests of the runs, even for 20 tests.
            "SELECT name, outcome, signature FROM test CROSS JOIN outcome ON test.id = test"
            f" WHERE name IN ({wanted})"
            " AND +run IN (SELECT id FROM run ORDER BY created DESC LIMIT ?) ORDER BY run DESC"
        )
        found = defaultdict(list)
        for name, outcome, signature in self.database.execute(query, [*ids, RUNS]):
            found[name].append((outcome, signature))
        return found

    def series(self) -> dict[str, list[tuple[str, str, float]]]:
        query = (
            "SELECT name, created, run_id, seconds FROM outcome JOIN run ON run.id = run"
            " JOIN test ON test.id = test WHERE outcome = ? ORDER BY run"
        )
        found = defaultdict(list)
        for name, *point in self.database.execute(query, [ord("s")]):
            found[name].append(tuple(point))
        return found


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    return make_verdicts()


def test_columns_and_rows(verdicts: list[Verdict], tmp_path: Path) -> None:
    """Print the times of both, in one process, on one disk."""
    print(f"\n{RUNS} runs of {CASES} cases, seed {SEED}                    ours        rows")
    path = tmp_path / "history.sqlite"
    began = time.perf_counter()
    with Store(path) as store:
        for each in verdicts:
            store.import_run(each)
    ours = time.perf_counter() - began
    rows = Rows(tmp_path / "rows.sqlite")
    began = time.perf_counter()
    for each in verdicts:
        rows.import_run(each)
    others = time.perf_counter() - began
    rows.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    show("import of a run", ours / RUNS * 1000, others / RUNS * 1000)
    show("file", path.stat().st_size / 1e6, rows.path.stat().st_size / 1e6, "MB")
    ids = [case.id for case in verdicts[0].cases]
    compare(path, rows, ids)
    rows.database.close()


def past_of(some: list[str], store: Store) -> Mapping[str, tuple[Past, ...]]:
    return store.window(MINE).past(some)


def compare(path: Path, rows: Rows, ids: list[str]) -> None:
    """Print the times of answers, and check that they are equal."""

    def ask(question: Callable[[Store], T]) -> T:
        with Store(path) as store:
            return question(store)

    show("opened, and a window read", timed(lambda: ask(lambda store: store.window(MINE)))[0])
    for some in (ids[:20], ids):
        mine, past = timed(partial(ask, partial(past_of, some)))
        theirs, found = timed(partial(rows.past, some))
        show(f"the past of {len(some)} tests, from opening", mine, theirs)
        failed = [each for test in some for each in past[test] if each.outcome is Outcome.FAIL]
        assert len(failed) == sum(one[0] == ord("f") for test in some for one in found[test])
        assert all(each.signature for each in failed)
    mine, series = timed(lambda: ask(lambda store: store.window(MINE).series()))
    theirs, others = timed(rows.series)
    show(f"the series of all {len(ids)} tests, from opening", mine, theirs)
    assert {test: len(points) for test, points in series.items()} == {
        test: len(points) for test, points in others.items()
    }
    run = make_verdicts()[-1].run
    show("the baseline of a run", timed(lambda: ask(lambda store: store.baseline(run)))[0])
    show("200 lines of the list", timed(lambda: ask(lambda store: store.runs()))[0])
