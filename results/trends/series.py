# SPDX-License-Identifier: Apache-2.0
"""The values of a trend: the measurements and their changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bsdgate.results.errors import BsdgateError


class Movement(StrEnum):
    """How a series changed last."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: the time and id of its run, and the duration in seconds."""

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
    """The least change that is reported, as a share and in seconds; both must be reached.

    ``limit`` multiplies the alarm limits; values other than 1 are for calibration.
    """

    share: float = 0.05
    seconds: float = 0.05
    limit: float = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """A level that moved. ``since`` is the first point of the new level, ``found`` the alarm's.

    ``before`` and ``after`` are median seconds; ``ratio`` is after / before, between ``low`` and
    ``high`` with 95 % confidence, from the points up to the next change. ``chance`` is the
    greatest probability that noise alone raises such an alarm within 365 runs.
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

    ``noise`` is the standard deviation at the present level as a share of it; None before
    30 points.
    """

    series: Series
    changes: tuple[Change, ...]
    noise: float | None

    @property
    def kind(self) -> Movement:
        """The last change of the series."""
        return self.changes[-1].kind if self.changes else Movement.NOISE


class TrendsError(BsdgateError):
    """An invalid measurement."""
