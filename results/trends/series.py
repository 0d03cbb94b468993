# SPDX-License-Identifier: Apache-2.0
"""The data classes of a trend: the measurements, and the changes of level found in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bsdgate.results.errors import BsdgateError


class Movement(StrEnum):
    """The last change of a series; NOISE if it did not change."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: the time and the id of its run, and the duration in seconds."""

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
    """The minimum change that is reported, as a fraction and in seconds; both must be reached.

    The alarm limits are multiplied by ``limit``; values other than 1 are for calibration.
    """

    share: float = 0.05
    seconds: float = 0.05
    limit: float = 1.0


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A change of level.

    ``since`` is the first point at the new level, ``found`` the point that raised the alarm.
    ``before`` and ``after`` are median durations in seconds, ``after`` of the points up to the next
    change. ``ratio`` is after / before, between ``low`` and ``high`` with 95 % confidence.
    ``chance`` is the maximum probability that noise alone raises such an alarm in 365 runs.
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
        """Whether the new level still differs from the old one with 95 % confidence."""
        return self.low > 1 if self.kind is Movement.REGRESSION else self.high < 1


@dataclass(frozen=True, slots=True)
class Trend:
    """A series and its changes, oldest first.

    ``noise`` is the standard deviation at the present level as a fraction of the level; None if
    fewer than 30 points are at that level.
    """

    series: Series
    changes: tuple[LevelChange, ...]
    noise: float | None

    @property
    def kind(self) -> Movement:
        """The kind of the last change; NOISE without a change."""
        return self.changes[-1].kind if self.changes else Movement.NOISE


class TrendsError(BsdgateError):
    """A measurement is invalid."""
