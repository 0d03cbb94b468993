# SPDX-License-Identifier: Apache-2.0
"""The chart of earlier runs."""

from dataclasses import replace
from typing import Any

import pytest
from unit.results.reporters.made import BEGAN, earlier, later, verdict_of

from bsdgate.results.model import Case, Kind, Outcome, Result, Side, State, Summary
from bsdgate.results.reporters import trend
from bsdgate.results.reporters.trend import lay_out
from bsdgate.results.store.rows import Record

VERDICT = verdict_of(Result.FAIL, Case("m.a", Outcome.FAIL))


def past(
    hours: int, result: Result = Result.PASS, seconds: float | None = 100.0, **counts: int
) -> Record:
    return earlier(3600 * hours, result, counts, seconds)


def summary(name: str, seconds: int, **fields: Any) -> Summary:
    head = Summary(name, Kind.TEMPEST, State.ENDED, 0, 1, BEGAN, later(seconds))
    return replace(head, **fields)


def test_without_earlier_runs_there_is_no_chart() -> None:
    assert lay_out(VERDICT, ()) is None
    assert lay_out(VERDICT, [past(-1)]) is None


def test_runs_are_ordered_by_time_and_this_run_is_last() -> None:
    drawing = lay_out(VERDICT, [past(1), past(3, Result.ERROR), past(2)])
    assert drawing
    assert [column.record.result for column in drawing.columns] == [
        *(Result.ERROR, Result.PASS, Result.PASS),
        Result.FAIL,
    ]
    assert [column.now for column in drawing.columns] == [False, False, False, True]
    assert drawing.columns[-1].trouble == 1
    assert drawing.passed == 2


def test_heights_are_proportional_to_durations() -> None:
    verdict = replace(VERDICT, attempts=(summary("01", 50),))
    drawing = lay_out(verdict, [past(1, seconds=200.0), past(2, seconds=None)])
    assert drawing
    assert [column.height for column in drawing.columns] == [4, 100, 25]
    assert drawing.usual == 200


def test_only_the_last_runs_are_drawn() -> None:
    drawing = lay_out(VERDICT, [past(hours) for hours in range(1, 200)])
    assert drawing
    assert len(drawing.columns) == trend.RUNS_SHOWN
    assert drawing.columns[-2].record.run.created == later(-3600)
    last = drawing.columns[-1]
    assert last.x + last.width <= trend.WIDTH


def test_the_duration_of_a_run_excludes_reruns_and_unfinished_attempts() -> None:
    attempts = (
        summary("01", 10),
        summary("02", 20),
        summary("03", 40, confirms="02"),
        summary("04", 80, side=Side.BASE),
        summary("05", 160, ended=None),
    )
    assert replace(VERDICT, attempts=attempts).seconds == 30
    assert VERDICT.seconds is None


@pytest.mark.parametrize("state", ["fail", "missing", "duplicated", "uxsuccess"])
def test_trouble_counts_no_skips_and_no_expected_failures(state: str) -> None:
    drawing = lay_out(VERDICT, [past(1, Result.PASS, 100.0, **{state: 3, "skip": 5, "xfail": 7})])
    assert drawing
    assert drawing.columns[0].trouble == 3
