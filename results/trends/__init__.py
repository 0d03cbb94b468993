# SPDX-License-Identifier: Apache-2.0
"""Finds out whether a duration, from run to run, became longer, shorter, or is only noise.

Four sums follow the points of a series as they come (Page's CUSUM, a quick one and a patient one,
each up and down). A sum grows by the logarithm of how much likelier a point is if the level has
moved than if it has not, and starts again at 0 if it falls below 0. A point is compared with the
points before the present excursion, so that a change does not become a part of its own reference.
A sum above its limit raises an alarm, unless the correlation of neighbouring points can explain
the excursion. The reasons for these sums and numbers are in doc/source/design/0004-trends.rst.
"""

import math
from collections.abc import Iterator, Sequence
from statistics import median

from bsdgate.results.trends.follower import Alarm, Follower
from bsdgate.results.trends.series import (
    Change,
    Movement,
    Point,
    Series,
    Thresholds,
    Trend,
    TrendsError,
)

__all__ = ["Change", "Movement", "Point", "Series", "Thresholds", "Trend", "TrendsError", "follow"]

# The resolution of a clock, in seconds.
_SHORTEST = 0.001
_COMPARED = 100
_AS_IT_COMES = Thresholds()


def follow(series: Series, thresholds: Thresholds = _AS_IT_COMES) -> Trend:
    """Find the changes in a series; its points are read one by one, in the order of time.

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
            f"{name}: run {point.run_id} took {point.seconds} seconds",
            "remove this run from the history, or import it again",
        )
    return max(point.seconds, _SHORTEST)


def _describe(
    points: Sequence[Point], values: Sequence[float], alarms: Sequence[Alarm]
) -> Iterator[Change]:
    ends = [*(alarm.since for alarm in alarms[1:]), len(points)]
    for alarm, end in zip(alarms, ends, strict=False):
        before = [values[index] for index in alarm.left[-_COMPARED:]]
        after = values[alarm.since : end][:_COMPARED]
        ratio, low, high = compare(before, after)
        yield Change(
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
    """The ratio after / before, and its 95 % interval.

    Hodges and Lehmann's: the median of all pairs, and the pairs between which the rank-sum test
    sees no difference.
    """
    pairs = sorted(b / a for a in before for b in after)
    count, total = len(pairs), len(before) + len(after) + 1
    edge = max(int(count / 2 - 1.96 * math.sqrt(count * total / 12)), 0)
    return median(pairs), pairs[edge], pairs[count - 1 - edge]
