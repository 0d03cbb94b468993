# SPDX-License-Identifier: Apache-2.0
"""The values of a trend: what was measured, what has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bsdgate.results.errors import BsdgateError


class Movement(StrEnum):
    """What a series did."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: when its run was made, which run it was, how many seconds it took."""

    moment: datetime
    run_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Series:
    """All measurements of one thing, such as a test or an atomic action of Rally."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is worth a person's time: a change of at least this share and this many seconds.

    ``limit`` multiplies the limits of alarm; anything but 1 is for calibration.
    """

    share: float = 0.05
    seconds: float = 0.05
    limit: float = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """A level that moved. ``since`` is the first point of the new level, ``found`` the alarm's.

    ``before`` and ``after`` are median seconds; ``ratio`` is after / before, between ``low`` and
    ``high`` with 95 % confidence, from the points up to the next change. ``chance`` is how likely
    noise alone is, at most, to raise such an alarm within 365 runs.
    """

    kind: Movement
    since: Point
    found: Point
    before: float
    after: float
    ratio: float
    low: float
    high: float
    chance: float

    @property
    def held(self) -> bool:
        """Whether the points since still differ, as surely, from those before."""
        return self.low > 1 if self.kind is Movement.REGRESSION else self.high < 1


@dataclass(frozen=True, slots=True)
class Trend:
    """A series in the light of its changes, oldest first.

    ``noise`` is the standard deviation at the present level as a share of it; None before
    30 points. ``peak`` is how near to an alarm the sums came: beyond 1 one is raised, unless the
    change is too small to matter for or may be an echo of the points before it.
    """

    series: Series
    changes: tuple[Change, ...]
    noise: float | None
    peak: float

    @property
    def kind(self) -> Movement:
        """What the series did last."""
        return self.changes[-1].kind if self.changes else Movement.NOISE


class TrendsError(BsdgateError):
    """A measurement that cannot be one."""
