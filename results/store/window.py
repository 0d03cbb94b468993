# SPDX-License-Identifier: Apache-2.0
"""Some earlier runs, and the history of their tests, in memory.

Runs with the same test list are stored column-wise: the outcomes of a test in all of these runs are
a slice with a stride, which costs no loop over the runs.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import repeat
from operator import itemgetter
from typing import Final

from bsdgate.results import ids as test_ids
from bsdgate.results.model import Disposition, Outcome, Past
from bsdgate.results.store.rows import LETTERS, OUTCOMES, PastRun, Record, floats_in

_SUCCESS: Final = LETTERS[Outcome.SUCCESS]
_PLAIN: Final = {letter: Past(outcome) for letter, outcome in OUTCOMES.items()}

_Cell = tuple[int, str, int, float]
"""A run's number in the window, the test's id there, the outcome's letter, and seconds or NaN."""


@dataclass(frozen=True, slots=True)
class PastOutcome:
    """How a test ended in one run. ``seconds`` is None where that is not known."""

    record: Record
    outcome: Outcome
    seconds: float | None
    disposition: Disposition | None


class Window:
    """The newest of some runs, newest first.

    A test is identified by its id. In runs without that id it is identified by its key, which stays
    the same from release to release (results/ids.py), if no other test in these runs has the key.
    """

    def __init__(self, runs: Iterable[PastRun]) -> None:
        self._runs = tuple(runs)
        self.records = tuple(run.record for run in self._runs)
        # By identity: stores give the same tuple to all runs that asked for the same.
        numbers: dict[int, list[int]] = {}
        for number, run in enumerate(self._runs):
            numbers.setdefault(id(run.ids), []).append(number)
        self._groups = [_RunGroup(self._runs, found) for found in numbers.values()]

    def __len__(self) -> int:
        return len(self._runs)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids of all tests, sorted; of several ids of one test that in the newest run."""
        found: dict[str, str] = {}
        for group in self._groups:
            for test in group.places:
                found.setdefault(_key(test) if group.alone(test) else test, test)
        return tuple(sorted(set(found.values())))

    def past(self, ids: Iterable[str]) -> Mapping[str, tuple[Past, ...]]:
        """Return the past outcomes of each of these tests, newest first."""
        return {test: tuple(self._past(test)) for test in ids}

    def _past(self, test: str) -> Iterator[Past]:
        for number, name, letter, _ in self._column(test):
            found = self._dispositions[number].get(name)
            yield Past(OUTCOMES[letter], found.signature) if found else _PLAIN[letter]

    def history(self, test: str) -> tuple[PastOutcome, ...]:
        """Return the past outcomes of one test with their runs, newest first."""
        return tuple(
            PastOutcome(
                self.records[number],
                OUTCOMES[letter],
                seconds if _known(seconds) else None,
                self._dispositions[number].get(name),
            )
            for number, name, letter, seconds in self._column(test)
        )

    def series(
        self, prefix: str = "", at_least: int = 1
    ) -> Mapping[str, tuple[tuple[datetime, str, float], ...]]:
        """Return (created, run id, seconds) of each success of a test, oldest first, by its id.

        The result has the tests with an id that begins with ``prefix`` and at least ``at_least``
        points, then the timings with such a name.
        """
        heads = [(record.run.created, record.run.run_id) for record in self.records]
        found: dict[str, list[tuple[datetime, str, float]]] = defaultdict(list)
        for test in self.ids:
            if test.startswith(prefix):
                for number, _, letter, seconds in self._column(test):
                    if letter == _SUCCESS and _known(seconds):
                        found[test].append((*heads[number], seconds))
        for head, run in zip(heads, self._runs, strict=True):
            for name, seconds in run.notes.timings.items():
                if name.startswith(prefix):
                    found[name].append((*head, seconds))
        return {
            name: tuple(reversed(points))
            for name, points in found.items()
            if len(points) >= at_least
        }

    def unmatched(self) -> Mapping[str, int]:
        """Return in how many consecutive runs, up to the newest, each entry matched nothing."""
        entries = [frozenset(run.notes.unmatched) for run in self._runs]
        newest = sorted(entries[0]) if entries else []
        return {
            entry: next((age for age, one in enumerate(entries) if entry not in one), len(entries))
            for entry in newest
        }

    def _column(self, test: str) -> Sequence[_Cell]:
        there = [group for group in self._groups if test in group.places]
        columns = [group.column(test) for group in there]
        if len(there) < len(self._groups) and all(group.alone(test) for group in there):
            elsewhere = (group for group in self._groups if group not in there)
            renamed = ((group, group.by_key.get(_key(test))) for group in elsewhere)
            columns += [group.column(name) for group, name in renamed if name]
        if len(columns) == 1:
            return columns[0]
        return sorted((cell for column in columns for cell in column), key=itemgetter(0))

    @cached_property
    def _dispositions(self) -> list[dict[str, Disposition]]:
        return [{one.id: one for one in run.notes.dispositions} for run in self._runs]


class _RunGroup:
    """Runs that asked for the same tests."""

    def __init__(self, runs: Sequence[PastRun], numbers: list[int]) -> None:
        self.places = {test: place for place, test in enumerate(runs[numbers[0]].ids)}
        self._numbers = numbers
        self._outcomes = b"".join(runs[number].outcomes for number in numbers)
        self._seconds = floats_in(b"".join(runs[number].seconds for number in numbers))

    def column(self, test: str) -> list[_Cell]:
        """Return the results of one test in these runs."""
        place, width = self.places[test], len(self.places)
        outcomes, seconds = self._outcomes[place::width], self._seconds[place::width]
        return list(zip(self._numbers, repeat(test), outcomes, seconds, strict=False))

    def alone(self, test: str) -> bool:
        """Whether no other test in these runs has the key of ``test``."""
        return self.by_key.get(_key(test)) == test

    @cached_property
    def by_key(self) -> dict[str, str]:
        """The tests by key, without keys that several tests share."""
        keys = {test: _key(test) for test in self.places}
        times = Counter(keys.values())
        return {one: test for test, one in keys.items() if times[one] == 1}


_key = lru_cache(maxsize=1 << 16)(test_ids.key)


def _known(seconds: float) -> bool:
    """Whether the duration is known: not NaN, and not negative after the clock was set back."""
    return seconds >= 0
