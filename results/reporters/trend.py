# SPDX-License-Identifier: Apache-2.0
"""The runs of one suite over time, as a row of bars: how each ended and how long it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Final

from bsdgate.results.model import Outcome, Result, Verdict

RUNS_SHOWN: Final = 60
WIDTH: Final = 94.0
"""Per cent of the drawing; beside the bars stands the scale."""

LEAST_SLOTS: Final = 20
"""With few runs the bars stay as narrow as with so many."""

_TROUBLE: Final = (
    Outcome.FAIL,
    Outcome.UXSUCCESS,
    Outcome.KNOWN_FAILURE_PASSED,
    Outcome.MISSING,
    Outcome.DUPLICATED,
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run of the same suite: when, how it ended, its tests by state, its duration if known."""

    created: datetime
    result: Result
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None
    name: str = ""

    @property
    def trouble(self) -> int:
        """How many tests failed or were lost."""
        return sum(self.counts.get(state, 0) for state in _TROUBLE)


@dataclass(frozen=True, slots=True)
class Column:
    """A run's bar, in per cent of the drawing; ``now`` marks the run that is reported."""

    run: Earlier
    x: float
    width: float
    height: float
    now: bool


@dataclass(frozen=True, slots=True)
class RunChart:
    """The drawing, oldest run first. ``usual`` is the median duration of earlier passes."""

    columns: tuple[Column, ...]
    width: float
    longest: float
    passed: int
    usual: float | None


def lay_out(verdict: Verdict, history: Sequence[Earlier]) -> RunChart | None:
    """Draw the last runs before ``verdict``'s, and that; None if there are none before."""
    run = verdict.run
    earlier = sorted(
        (past for past in history if past.created < run.created), key=lambda past: past.created
    )[1 - RUNS_SHOWN :]
    if not earlier:
        return None
    this = Earlier(run.created, verdict.result, verdict.counts, verdict.seconds, run.name)
    runs = [*earlier, this]
    longest = max((past.seconds or 0.0 for past in runs), default=0.0) or 1.0
    slot = WIDTH / max(len(runs), LEAST_SLOTS)
    columns = tuple(
        Column(past, slot * index, slot * 0.8, _height(past, longest), past is this)
        for index, past in enumerate(runs)
    )
    passes = [past for past in earlier if past.result is Result.PASS]
    times = [past.seconds for past in passes if past.seconds is not None]
    return RunChart(columns, WIDTH, longest, len(passes), median(times) if times else None)


def _height(past: Earlier, longest: float) -> float:
    # A run of unknown duration is a short bar; its colour shows the result.
    return max(4.0, 100 * past.seconds / longest) if past.seconds is not None else 4.0
