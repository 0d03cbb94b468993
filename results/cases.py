# SPDX-License-Identifier: Apache-2.0
"""A million cases in some 20 MB beside their ids: columns instead of objects."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from math import isnan, nan
from operator import eq
from typing import Self, overload

from bsdgate.results.model import Case, Outcome

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_NEVER = -(2**63)

# What is the same for many cases is kept once: outcome, worker, reason, details.
_Manner = tuple[Outcome, str | None, str | None, str | None]


def find(ids: Sequence[str], test_id: str) -> int | None:
    """Where that id is among sorted ones; None if it is not there."""
    place = bisect_left(ids, test_id)
    return place if place < len(ids) and ids[place] == test_id else None


class Cases(Sequence[Case]):
    """A sequence of cases, each made when it is looked at; equal to any sequence of equal cases.

    ``ids`` are the cases' ids, in their order. Whoever fills it appends to it or assigns to its
    places; whoever is handed one reads it.
    """

    def __init__(self, cases: Iterable[Case] = ()) -> None:
        self.ids: list[str] = []
        self._started = array("q")
        self._seconds = array("d")
        self._manner = array("I")
        self._manners: list[_Manner] = []
        self._places: dict[_Manner, int] = {}
        for case in cases:
            self.append(case)

    @classmethod
    def missing(cls, ids: Iterable[str], reason: str) -> Self:
        """Make a case for each of ``ids``, sorted and once: MISSING, for that reason."""
        made = cls()
        made.ids = sorted(ids)
        if any(map(eq, made.ids, islice(made.ids, 1, None))):
            made.ids = [test_id for test_id, _ in groupby(made.ids)]
        made._started = array("q", [_NEVER]) * len(made.ids)
        made._seconds = array("d", [nan]) * len(made.ids)
        made._manner = array("I", [0]) * len(made.ids)
        made._intern((Outcome.MISSING, None, reason, None))
        return made

    def append(self, case: Case, known: Sequence[str] = ()) -> bool:
        """Add a case. Of ``known`` ids, sorted, an equal one is kept in place of its own.

        Returns whether there was one, so that the case's own id takes no room.
        """
        place = find(known, case.id)
        self.ids.append(case.id if place is None else known[place])
        self._started.append(_ticks(case.started))
        self._seconds.append(nan if case.seconds is None else case.seconds)
        self._manner.append(self._intern(_manner(case)))
        return place is not None

    def replaced(self, changes: Mapping[int, Case]) -> "Cases":
        """Return the same cases with others at some places; the ids there must be the same."""
        made = Cases()
        made.ids = self.ids
        made._started = self._started[:]
        made._seconds = self._seconds[:]
        made._manner = self._manner[:]
        made._manners = self._manners[:]
        made._places = dict(self._places)
        for place, case in changes.items():
            made[place] = case
        return made

    def place(self, test_id: str) -> int | None:
        """Where that id is; None if it is not there. Only for cases that are sorted by id."""
        return find(self.ids, test_id)

    def outcome(self, place: int) -> Outcome:
        """How the case at that place ended."""
        return self._manners[self._manner[place]][0]

    def ids_of(self, outcome: Outcome) -> tuple[str, ...]:
        """The ids of all cases that ended so, in their order."""
        return tuple(self.ids[place] for place in self._places_of({outcome}))

    def of(self, *outcomes: Outcome) -> Iterator[Case]:
        """All cases that ended in one of these, in their order."""
        return map(self._make, self._places_of(outcomes))

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """When the first and the last case began, of those that say so."""
        first = min((ticks for ticks in self._started if ticks != _NEVER), default=_NEVER)
        if first == _NEVER:
            return None
        return _moment(first), _moment(max(self._started))

    @property
    def counts(self) -> Counter[Outcome]:
        """How many cases ended in each outcome."""
        found: Counter[Outcome] = Counter()
        for manner, times in Counter(self._manner).items():
            found[self._manners[manner][0]] += times
        return found

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Case]:
        return map(self._make, range(len(self.ids)))

    @overload
    def __getitem__(self, place: int) -> Case: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Case, ...]: ...
    def __getitem__(self, place: int | slice) -> Case | tuple[Case, ...]:
        places = range(len(self.ids))[place]
        return self._make(places) if isinstance(places, int) else tuple(map(self._make, places))

    def __setitem__(self, place: int, case: Case) -> None:
        """Put a case of the same id there."""
        self._started[place] = _ticks(case.started)
        self._seconds[place] = nan if case.seconds is None else case.seconds
        self._manner[place] = self._intern(_manner(case))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(
            mine == its for mine, its in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]  # it can be filled

    def __repr__(self) -> str:
        return f"<Cases: {len(self)}>"

    def _places_of(self, outcomes: Collection[Outcome]) -> Iterator[int]:
        wanted = {
            number for number, manner in enumerate(self._manners) if manner[0] in outcomes
        }.intersection(self._manner)
        if not wanted:
            return iter(())
        return (place for place, manner in enumerate(self._manner) if manner in wanted)

    def _make(self, place: int) -> Case:
        outcome, worker, reason, details = self._manners[self._manner[place]]
        ticks, seconds = self._started[place], self._seconds[place]
        return Case(
            self.ids[place],
            outcome,
            None if ticks == _NEVER else _moment(ticks),
            None if isnan(seconds) else seconds,
            worker,
            reason,
            details,
        )

    def _intern(self, manner: _Manner) -> int:
        number = self._places.setdefault(manner, len(self._manners))
        if number == len(self._manners):
            self._manners.append(manner)
        return number


def _manner(case: Case) -> _Manner:
    return case.outcome, case.worker, case.reason, case.details


def _moment(ticks: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ticks)


def _ticks(moment: datetime | None) -> int:
    if moment is None:
        return _NEVER
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _TICK
