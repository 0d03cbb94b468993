# SPDX-License-Identifier: Apache-2.0
"""The runs of one suite over time, as a row of bars: how each ended and how long it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bsdgate.results.model import Outcome, Result, Verdict
from bsdgate.results.store.rows import Record

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
class Column:
    """A run's bar, in per cent of the drawing; ``now`` marks the run that is reported."""

    record: Record | Verdict
    x: float
    width: float
    height: float
    now: bool

    @property
    def trouble(self) -> int:
        """How many tests failed or were lost."""
        return sum(self.record.counts.get(state, 0) for state in _TROUBLE)


@dataclass(frozen=True, slots=True)
class RunChart:
    """The drawing, oldest run first. ``usual`` is the median duration of earlier passes."""

    columns: tuple[Column, ...]
    longest: float
    passed: int
    usual: float | None


def lay_out(verdict: Verdict, history: Sequence[Record]) -> RunChart | None:
    """Draw the last runs before ``verdict``'s, and that; None if there are none before."""
    before = [past for past in history if past.run.created < verdict.run.created]
    earlier = sorted(before, key=lambda past: past.run.created)[1 - RUNS_SHOWN :]
    if not earlier:
        return None
    runs: list[Record | Verdict] = [*earlier, verdict]
    longest = max(run.seconds or 0.0 for run in runs) or 1.0
    slot = WIDTH / max(len(runs), LEAST_SLOTS)
    columns = tuple(
        # A run of unknown duration is a short bar; its colour shows the result.
        Column(
            run, slot * at, slot * 0.8, max(4.0, 100 * (run.seconds or 0) / longest), run is verdict
        )
        for at, run in enumerate(runs)
    )
    passes = [past for past in earlier if past.result is Result.PASS]
    times = [past.seconds for past in passes if past.seconds is not None]
    return RunChart(columns, longest, len(passes), median(times) if times else None)
