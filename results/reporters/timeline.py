# SPDX-License-Identifier: Apache-2.0
"""Where on a drawing each test of each worker goes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bsdgate.results.model import Case

WIDTH = 1000.0
MARGIN = 90.0
LANE = 26.0
THINNEST = 0.6
TICKS = 6
BARS_BOUND = 10_000


@dataclass(frozen=True, slots=True)
class Bar:
    """One test: where it starts and how long it is, in units of the drawing."""

    case: Case
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One worker's tests."""

    worker: str
    y: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The drawing: lanes, and ticks as (x, seconds since the first test's start)."""

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, float], ...]
    began: datetime
    left_out: int

    @property
    def height(self) -> float:
        """The lanes and, below them, the ticks' labels."""
        return len(self.lanes) * LANE + 24


def lay_out(cases: Sequence[Case]) -> Timeline | None:
    """Lay out all tests that say when and where they ran; None if none does."""
    timed = sorted(
        ((case.started, case) for case in cases if case.started and case.seconds is not None),
        key=lambda pair: (pair[0], pair[1].id),
    )
    if not timed:
        return None
    drawn = timed[:BARS_BOUND]
    began = drawn[0][0]
    ended = max(started + timedelta(seconds=case.seconds or 0) for started, case in drawn)
    total = (ended - began).total_seconds() or 1.0
    scale = (WIDTH - MARGIN) / total
    rows: dict[str, list[Bar]] = defaultdict(list)
    for started, case in drawn:
        x = MARGIN + (started - began).total_seconds() * scale
        rows[case.worker or "run"].append(Bar(case, x, max((case.seconds or 0) * scale, THINNEST)))
    lanes = [
        Lane(worker, index * LANE, tuple(rows[worker])) for index, worker in enumerate(sorted(rows))
    ]
    ticks = [
        (MARGIN + total * scale * part / TICKS, total * part / TICKS) for part in range(TICKS + 1)
    ]
    return Timeline(tuple(lanes), tuple(ticks), began, len(timed) - len(drawn))
