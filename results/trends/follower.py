# SPDX-License-Identifier: Apache-2.0
"""Four CUSUMs read the points of a series one by one and raise alarms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bsdgate.results.trends.noise import PATIENT, QUICK, Scores, learn, sureness
from bsdgate.results.trends.series import Thresholds

WARM_UP = 30
"""The minimum number of points at a level before a change can be found."""

LIMITS = {QUICK: 11.3, PATIENT: 14.0}
"""The alarm limits of the CUSUMs; ``tests/campaign/test_trends.py`` measures their effect."""

ALARMS_A_YEAR = 0.01
"""The accepted false-alarm rate: the fraction of series of 365 points of noise with an alarm."""

# With fewer points in the reference than these, the limits rise steeply.
_FEW = {QUICK: 35, PATIENT: 70}
# The limits are multiplied by 1 - _EARLY / n: a longer series has more chances of a false alarm.
_EARLY = 5
_REFERENCE = 400
_RECENT = 9
_UNDER_WAY = 0.5
# Noise exceeds a limit plus this number e times less often than the limit. Measured: 1.2 for the
# quick CUSUM alone, 1.6 for the patient one alone, 1.0 with the check in _beyond_echo.
_RARER = 1.6
_RETURN_CAP = 3.0


@dataclass(slots=True)
class _Sum:
    """One CUSUM: it detects a shift of ``step`` standard deviations, up or down (``sign``)."""

    step: float
    sign: int
    value: float = 0.0
    start: int = 0

    def add(self, score: float, scores: Scores, place: int) -> None:
        self.value += self.step * self.sign * score - scores.costs[self.step, self.sign]
        if self.value <= 0:
            self.value, self.start = 0.0, place + 1


@dataclass(frozen=True, slots=True)
class Alarm:
    """A change: ``left`` are the indices of the points at the old level.

    ``since`` is the index of the first point at the new level, ``found`` of the point that raised
    the alarm.
    """

    left: Sequence[int]
    since: int
    found: int
    sign: int
    chance: float


@dataclass(slots=True)
class _Return:
    """Checks for a return to the old level while the new level is not known yet.

    ``known`` are the indices of the points at the old level; ``height`` is the shift in standard
    deviations.
    """

    known: list[int]
    scores: Scores
    sign: int
    height: float
    value: float = 0.0
    start: int = 0

    def add(self, value: float, index: int) -> None:
        if self.value <= 0:
            self.value, self.start = 0.0, index
        off = self.height / 2 - self.sign * self.scores.of(value)
        self.value += min(self.height * off, _RETURN_CAP)


@dataclass(slots=True)
class Follower:
    """Reads the points one by one and finds the changes of level.

    ``level`` has the indices of the points at the present level. The first ``used`` of them
    are the reference: all but the latest points, which may be a change.
    """

    values: Sequence[float]
    thresholds: Thresholds
    level: list[int] = field(default_factory=list)
    used: int = 0
    learned: int = 0
    scores: Scores | None = None
    sums: list[_Sum] = field(default_factory=list)
    back: _Return | None = None

    def see(self, index: int) -> Alarm | None:
        """Process the point at ``index``; return an alarm if the point raises one."""
        self.level.append(index)
        if self.scores is None:
            return self._warm_up(index)
        score = self.scores.of(self.values[index])
        for each in self.sums:
            each.add(score, self.scores, len(self.level) - 1)
        strongest = max(self.sums, key=self._strength)
        over = self._strength(strongest) > self.thresholds.limit
        alarm = self._raise(strongest, self.scores) if over else None
        if alarm is None:
            self._absorb()
        return alarm

    def _warm_up(self, index: int) -> Alarm | None:
        if self.back is not None:
            self.back.add(self.values[index], index)
            if self.back.value > LIMITS[QUICK] * self.thresholds.limit:
                return self._restore(self.back)
        if len(self.level) >= WARM_UP:
            self._begin()
        return None

    def _begin(self) -> None:
        self.back = None
        self.used = len(self.level)
        self._learn()
        self.sums = [_Sum(step, sign, start=self.used) for step in LIMITS for sign in (1, -1)]

    def _learn(self) -> None:
        self.learned = self.used
        self.scores = learn(self._at(max(0, self.used - _REFERENCE), self.used))

    def _at(self, begin: int, end: int) -> list[float]:
        return [self.values[index] for index in self.level[begin:end]]

    def _absorb(self) -> None:
        """Extend the reference if no change is suspected; learn again after each 5 % of growth."""
        if any(each.value for each in self.sums if each.step == QUICK):
            return
        if any(self._strength(each) > _UNDER_WAY for each in self.sums):
            return
        self.used = len(self.level)
        if self.used * 20 >= self.learned * 21:
            self._learn()

    def _strength(self, each: _Sum) -> float:
        # A level estimated from few points is inexact, so the limit is higher.
        few = (_FEW[each.step] / self.used) ** 8
        return each.value / (LIMITS[each.step] * (1 + few) * (1 - _EARLY / self.used))

    def _raise(self, strongest: _Sum, scores: Scores) -> Alarm | None:
        end = len(self.level)
        now = median(self._at(max(strongest.start, end - _RECENT), end))
        before = median(self._at(0, strongest.start))
        if strongest.sign * (now - before) <= 0 or not self._matters(before, now):
            return None
        onset = self._onset(strongest.start, before, now)
        over = min(
            strongest.value * (1 - self.thresholds.limit / self._strength(strongest)),
            self._beyond_echo(onset, now - before, scores),
        )
        if over <= 0:
            return None
        height = strongest.sign * scores.of(now)
        alarm = Alarm(
            left=self.level[:onset],
            since=self.level[onset],
            found=self.level[-1],
            sign=strongest.sign,
            chance=_chance(over),
        )
        self.back = _Return(self.level[: min(self.used, onset)], scores, strongest.sign, height)
        self.level, self.scores = self.level[onset:], None
        # The points at the new level may already be enough for its reference.
        if len(self.level) >= WARM_UP:
            self._begin()
        return alarm

    def _matters(self, before: float, after: float) -> bool:
        less, more = sorted((before, after))
        return more - less >= max(self.thresholds.seconds, self.thresholds.share * less)

    def _beyond_echo(self, onset: int, moved: float, scores: Scores) -> float:
        """Return by how much the evidence for a shift exceeds what autocorrelation can explain.

        The result is a log likelihood ratio. A CUSUM assumes independent points, so autocorrelation
        alone can raise it above its limit.
        """
        begin = max(0, onset - _REFERENCE)
        before = [scores.of(value) for value in self._at(begin, onset)]
        after = [scores.of(value, moved) for value in self._at(onset, len(self.level))]
        sure = max(math.copysign(1, moved) * sureness(before + after, len(before)), 0.0)
        least = self.thresholds.limit * _least(len(before) + len(after), scores.shared)
        return (sure**2 - least**2) / 2

    def _onset(self, start: int, before: float, now: float) -> int:
        """Return the index in ``level``, at least ``start``, at which the shift probably began."""
        best, total, onset = -math.inf, 0.0, len(self.level) - 1
        for place in range(len(self.level) - 1, start - 1, -1):
            moved = (self.values[self.level[place]] - before) / (now - before)
            total += min(max(moved, -1.0), 2.0) - 0.5
            if total > best:
                best, onset = total, place
        return onset

    def _restore(self, back: _Return) -> Alarm:
        """Make the old level current again; drop the points between the change and the return."""
        place = self.level.index(back.start)
        over = back.value - LIMITS[QUICK] * self.thresholds.limit
        alarm = Alarm(
            left=self.level[:place],
            since=back.start,
            found=self.level[-1],
            sign=-back.sign,
            chance=_chance(over),
        )
        self.level = back.known + self.level[place:]
        self._begin()
        return alarm


def _least(count: int, shared: float) -> float:
    """Return the minimum size of a shift, in standard errors, for ``count`` points.

    The minimum grows with ``count``. Below about 60 points it is larger, because the estimate of
    the autocorrelation (``shared``) is then inexact.
    """
    return 4.8 - 57 / count + (46 / count) ** 8 + 1.4 * shared


def _chance(over: float) -> float:
    return ALARMS_A_YEAR * math.exp(-max(over, 0.0) / _RARER)
