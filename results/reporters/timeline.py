# SPDX-License-Identifier: Apache-2.0
"""The layout of the timeline: a bar for each test of each worker, in per cent of the width."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bsdgate.results.model import Case, Outcome

ZOOMS: Final = (1, 4, 16)
"""The widths at which the drawing can be shown, as multiples of the page's width."""

TICKS: Final = 8
"""The maximum number of intervals on the time axis per width of the page."""

LANES_BOUND: Final = 64
SLOWEST: Final = 10
"""The maximum number of workers in the drawing, and of tests in the list of slowest tests."""

THINNEST: Final = 0.04
THINNEST_TROUBLE: Final = 0.3
"""Minimum widths of a bar in per cent; a failure is wider, to be visible among thousands."""

_STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
_QUIET: Final = frozenset({Outcome.SUCCESS, Outcome.SKIP, Outcome.XFAIL, Outcome.KNOWN_FAILURE})


@dataclass(frozen=True, slots=True)
class Bar:
    """The bar of a test: the test's index among all cases, the left end and width of the bar."""

    index: int
    case: Case
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Lane:
    """The tests of one worker. Failed tests are last, so that they are drawn on top."""

    worker: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The drawing, from ``began`` on; ``ticks`` has (x, seconds) of each tick, for each of ZOOMS.

    ``slowest`` has the slowest tests; their bars have widths in per cent of the longest bar.
    """

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[tuple[float, float], ...], ...]
    began: datetime
    seconds: float
    slowest: tuple[Bar, ...]
    lanes_left_out: int = 0


def lay_out(cases: Sequence[Case]) -> Timeline | None:
    """Lay out all tests with a start and a duration; return None if there are none."""
    starts = [case.started for case in cases if case.started and case.seconds is not None]
    if not starts:
        return None
    began = min(starts)
    # Places and widths are in seconds at first.
    bars = [
        Bar(index, case, (case.started - began).total_seconds(), max(0.0, case.seconds))
        for index, case in enumerate(cases)
        if case.started and case.seconds is not None
    ]
    total = max(bar.x + bar.width for bar in bars) or 1.0
    rows: dict[str, list[Bar]] = defaultdict(list)
    for bar in bars:
        rows[bar.case.worker or "run"].append(bar)
    workers = sorted(rows)
    slowest = sorted(bars, key=lambda bar: (-bar.width, bar.index))[:SLOWEST]
    longest = slowest[0].width or 1.0
    return Timeline(
        lanes=tuple(_lane(worker, rows[worker], total) for worker in workers[:LANES_BOUND]),
        ticks=tuple(_ticks(total, zoom) for zoom in ZOOMS),
        began=began,
        seconds=total,
        slowest=tuple(replace(bar, x=0.0, width=100 * bar.width / longest) for bar in slowest),
        lanes_left_out=len(workers[LANES_BOUND:]),
    )


def _lane(worker: str, bars: Sequence[Bar], total: float) -> Lane:
    scaled = []
    for bar in sorted(bars, key=lambda bar: (bar.case.outcome not in _QUIET, bar.x, bar.index)):
        thinnest = THINNEST if bar.case.outcome in _QUIET else THINNEST_TROUBLE
        width = max(100 * bar.width / total, thinnest)
        scaled.append(replace(bar, x=min(100 * bar.x / total, 100 - width), width=width))
    return Lane(worker, tuple(scaled))


def _ticks(total: float, zoom: int) -> tuple[tuple[float, float], ...]:
    step = next((step for step in _STEPS if total / step <= TICKS * zoom), total / (TICKS * zoom))
    return tuple((100 * step * n / total, step * n) for n in range(int(total / step) + 1))
