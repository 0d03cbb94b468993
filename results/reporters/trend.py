# SPDX-License-Identifier: Apache-2.0
"""The runs of one suite over time, as a row of bars: the result and duration of each run."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bsdgate.results.model import Outcome, Result, Verdict
from bsdgate.results.store.rows import Record

RUNS_SHOWN: Final = 60
WIDTH: Final = 94.0
"""The width of all bars together, in per cent of the drawing."""

LEAST_SLOTS: Final = 20
"""With fewer runs, the bars are as narrow as with this number of runs."""

_TROUBLE: Final = (
    Outcome.FAIL,
    Outcome.UXSUCCESS,
    Outcome.KNOWN_FAILURE_PASSED,
    Outcome.MISSING,
    Outcome.DUPLICATED,
)


@dataclass(frozen=True, slots=True)
class TrendBar:
    """The bar of a run, in per cent of the drawing; ``now`` marks the run of this report."""

    record: Record | Verdict
    x: float
    width: float
    height: float
    now: bool

    @property
    def trouble(self) -> int:
        """The number of tests that failed, passed unexpectedly, or do not have one outcome."""
        return sum(self.record.counts.get(state, 0) for state in _TROUBLE)


@dataclass(frozen=True, slots=True)
class RunChart:
    """The bars of the runs, the oldest run first.

    ``passed`` is the number of earlier runs that passed, ``usual`` their median duration.
    """

    columns: tuple[TrendBar, ...]
    longest: float
    passed: int
    usual: float | None


def lay_out(verdict: Verdict, history: Sequence[Record]) -> RunChart | None:
    """Lay out the run of ``verdict`` and the last earlier runs; return None if none is earlier."""
    before = [past for past in history if past.run.created < verdict.run.created]
    earlier = sorted(before, key=lambda past: past.run.created)[1 - RUNS_SHOWN :]
    if not earlier:
        return None
    runs: list[Record | Verdict] = [*earlier, verdict]
    longest = max(run.seconds or 0.0 for run in runs) or 1.0
    slot = WIDTH / max(len(runs), LEAST_SLOTS)
    columns = tuple(
        # A run of unknown duration is a short bar; its colour shows the result.
        TrendBar(
            run, slot * at, slot * 0.8, max(4.0, 100 * (run.seconds or 0) / longest), run is verdict
        )
        for at, run in enumerate(runs)
    )
    passes = [past for past in earlier if past.result is Result.PASS]
    times = [past.seconds for past in passes if past.seconds is not None]
    return RunChart(columns, longest, len(passes), median(times) if times else None)
