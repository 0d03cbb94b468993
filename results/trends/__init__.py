# SPDX-License-Identifier: Apache-2.0
"""Finds out whether a duration, from run to run, became longer or shorter, or only varies (noise).

Four of Page's CUSUMs read the points of a series one by one: a quick one for large shifts of the
level and a patient one for small shifts, each up and down. Each point adds the log likelihood ratio
of a shifted level; below 0 a CUSUM starts again at 0. A point is compared with the points before
the present excursion (latest points that may be a change), so that a change is never a part of its
own reference. A CUSUM above its limit raises an alarm, unless autocorrelation can explain
the excursion. The reasons for this are in doc/source/design/0004-trends.rst.
"""

import math
from collections.abc import Iterator, Sequence
from statistics import median

from bsdgate.results.trends.follower import Alarm, Follower
from bsdgate.results.trends.series import (
    LevelChange,
    Movement,
    Point,
    Series,
    Thresholds,
    Trend,
    TrendsError,
)

__all__ = [
    "LevelChange",
    "Movement",
    "Point",
    "Series",
    "Thresholds",
    "Trend",
    "TrendsError",
    "follow",
]

# The resolution of a clock, in seconds.
_SHORTEST = 0.001
_COMPARED = 100
_AS_IT_COMES = Thresholds()


def follow(series: Series, thresholds: Thresholds = _AS_IT_COMES) -> Trend:
    """Find the changes in a series; its points are read one by one, the oldest first.

    :raises TrendsError: a duration is negative or not a finite number.
    """
    points = sorted(series.points, key=lambda point: (point.moment, point.run_id))
    values = [_check(series.name, point) for point in points]
    follower = Follower(values, thresholds)
    alarms = [alarm for index in range(len(values)) if (alarm := follower.see(index)) is not None]
    scores = follower.scores
    return Trend(
        series=Series(series.name, tuple(points)),
        changes=tuple(_describe(points, values, alarms)),
        noise=scores.noise / scores.middle if scores else None,
    )


def _check(name: str, point: Point) -> float:
    if not (math.isfinite(point.seconds) and point.seconds >= 0):
        raise TrendsError(
            f"{name}: run {point.run_id} has an invalid duration: {point.seconds} s",
            "remove this run from the history, or import it again",
        )
    return max(point.seconds, _SHORTEST)


def _describe(
    points: Sequence[Point], values: Sequence[float], alarms: Sequence[Alarm]
) -> Iterator[LevelChange]:
    ends = [*(alarm.since for alarm in alarms[1:]), len(points)]
    for alarm, end in zip(alarms, ends, strict=False):
        before = [values[index] for index in alarm.left[-_COMPARED:]]
        after = values[alarm.since : end][:_COMPARED]
        ratio, low, high = compare(before, after)
        yield LevelChange(
            kind=Movement.REGRESSION if alarm.sign > 0 else Movement.IMPROVEMENT,
            since=points[alarm.since],
            found=points[alarm.found],
            before=median(before),
            after=median(after),
            ratio=ratio,
            low=low,
            high=high,
            chance=alarm.chance,
        )


def compare(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float]:
    """Return the ratio after / before, and the ends of its 95 % confidence interval.

    The ratio is Hodges and Lehmann's estimate: the median of the ratios of all pairs. The interval
    has the ratios that the rank-sum test does not reject.
    """
    pairs = sorted(b / a for a in before for b in after)
    count, total = len(pairs), len(before) + len(after) + 1
    edge = max(int(count / 2 - 1.96 * math.sqrt(count * total / 12)), 0)
    return median(pairs), pairs[edge], pairs[count - 1 - edge]
