# SPDX-License-Identifier: Apache-2.0
"""The newest earlier runs, and the past outcomes and durations of their tests."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from bsdgate.results import ids as test_ids
from bsdgate.results.model import Disposition, Outcome, Past
from bsdgate.results.store.rows import PastRun, Record
from bsdgate.results.trends import Point

_key = cache(test_ids.key)


@dataclass(frozen=True, slots=True)
class PastOutcome:
    """The outcome of a test in one run; ``seconds`` is its duration, None if unknown."""

    record: Record
    outcome: Outcome
    seconds: float | None
    disposition: Disposition | None


class _TestList:
    """The index of each test in the list of a run: by id; by key if no other test has that key."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.by_id = {test: place for place, test in enumerate(ids)}
        times = Counter(map(_key, self.by_id))
        self.by_key = {
            _key(test): place for test, place in self.by_id.items() if times[_key(test)] == 1
        }

    def alone(self, test: str) -> bool:
        """Return whether no other test of the list has the key of ``test``."""
        return _key(test) in self.by_key


class Window:
    """The runs that a query selected, newest first.

    A test is identified by its id. In runs without that id it is identified by its key, which stays
    the same from release to release (results/ids.py), if no other test of a run has the same key.
    """

    def __init__(self, runs: Iterable[PastRun]) -> None:
        self._runs = tuple(runs)
        self.records = tuple(run.record for run in self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    @cached_property
    def _lists(self) -> list[_TestList]:
        """The test list of each run; runs with the same tests share one list."""
        made = {ids: _TestList(ids) for ids in {run.ids for run in self._runs}}
        return [made[run.ids] for run in self._runs]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids of all tests, sorted; of several ids of a test, only the id in the newest run."""
        found: dict[str, str] = {}
        for tests in dict.fromkeys(self._lists):
            for test in tests.by_id:
                found.setdefault(_key(test) if tests.alone(test) else test, test)
        return tuple(sorted(set(found.values())))

    def past(self, ids: Iterable[str]) -> Mapping[str, tuple[Past, ...]]:
        """Return the past outcomes of each test in ``ids``, newest first."""
        return {
            test: tuple(
                Past(one.outcome, one.disposition.signature if one.disposition else "")
                for one in self.history(test)
            )
            for test in ids
        }

    def history(self, test: str) -> tuple[PastOutcome, ...]:
        """Return the past outcomes of one test, each with its run, newest first."""
        return tuple(
            PastOutcome(
                run.record,
                run.outcome(place),
                run.duration(place),
                run.dispositions.get(run.ids[place]),
            )
            for run, place in self._places(test)
        )

    def series(self, prefix: str = "") -> Mapping[str, Sequence[Point]]:
        """Return the durations of each test in the runs in which it succeeded, oldest first, by id.

        The timings (durations of parts of tests) follow, by name. All ids and names begin with
        ``prefix``.
        """
        found: dict[str, list[Point]] = defaultdict(list)
        for test in self.ids:
            if test.startswith(prefix):
                for run, place in self._places(test):
                    seconds = run.duration(place)
                    if seconds is not None and run.outcome(place) is Outcome.SUCCESS:
                        found[test].append(_point(run.record, seconds))
        for run in self._runs:
            for name, seconds in run.notes.timings.items():
                if name.startswith(prefix):
                    found[name].append(_point(run.record, seconds))
        return {name: points[::-1] for name, points in found.items()}

    def unmatched(self) -> Mapping[str, int]:
        """Return, by entry, the number of consecutive newest runs in which it matched no test."""
        entries = [frozenset(run.notes.unmatched) for run in self._runs]
        newest = sorted(entries[0]) if entries else []
        return {
            entry: next((age for age, one in enumerate(entries) if entry not in one), len(entries))
            for entry in newest
        }

    def _places(self, test: str) -> Iterator[tuple[PastRun, int]]:
        """Yield each run that has the test, newest first, and the index of the test in its ids."""
        different = set(self._lists)
        alone = all(tests.alone(test) for tests in different if test in tests.by_id)
        places = {
            tests: tests.by_id.get(test, tests.by_key.get(_key(test)) if alone else None)
            for tests in different
        }
        for run, tests in zip(self._runs, self._lists, strict=True):
            if (place := places[tests]) is not None:
                yield run, place


def _point(record: Record, seconds: float) -> Point:
    return Point(record.run.created, record.run.run_id, seconds)
