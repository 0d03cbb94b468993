# SPDX-License-Identifier: Apache-2.0
"""The chart of workers over time."""

import pytest
from unit.results.reporters.made import BEGAN, later

from bsdgate.results.model import Case, Outcome
from bsdgate.results.reporters import timeline
from bsdgate.results.reporters.timeline import lay_out


def ran(
    number: int,
    at: int,
    seconds: float,
    outcome: Outcome = Outcome.SUCCESS,
    worker: str = "worker-0",
) -> Case:
    return Case(f"m.t{number}", outcome, later(at), seconds, worker)


def test_lanes_are_sorted_and_bars_fill_the_width() -> None:
    cases = [ran(n, n, 1.0, worker=f"worker-{n % 2}") for n in range(10)]
    drawing = lay_out([*reversed(cases), Case("m.untimed", Outcome.SKIP)])
    assert drawing
    assert [lane.worker for lane in drawing.lanes] == ["worker-0", "worker-1"]
    bars = [bar for lane in drawing.lanes for bar in lane.bars]
    assert len(bars) == 10
    assert min(bar.x for bar in bars) == 0
    assert max(bar.x + bar.width for bar in bars) == pytest.approx(100)
    assert drawing.ticks[0][-1] == (100.0, 10)


def test_without_times_there_is_no_timeline() -> None:
    assert lay_out([Case("m.a", Outcome.SUCCESS, BEGAN)]) is None


def test_a_bar_has_the_index_of_its_case() -> None:
    cases = [Case("m.untimed", Outcome.SKIP), ran(1, 5, 1.0), ran(2, 0, 1.0)]
    drawing = lay_out(cases)
    assert drawing
    (lane,) = drawing.lanes
    assert [bar.index for bar in lane.bars] == [2, 1]


def test_a_short_failure_has_a_minimum_width_and_is_drawn_last() -> None:
    cases = [ran(1, 0, 0.001, Outcome.FAIL), ran(2, 1, 1000.0)]
    drawing = lay_out(cases)
    assert drawing
    (lane,) = drawing.lanes
    assert [bar.case.outcome for bar in lane.bars] == [Outcome.SUCCESS, Outcome.FAIL]
    assert lane.bars[1].width == timeline.THINNEST_TROUBLE


def test_no_bar_exceeds_the_width() -> None:
    drawing = lay_out([ran(1, 0, 100.0), ran(2, 100, 0.0, Outcome.FAIL)])
    assert drawing
    (lane,) = drawing.lanes
    assert all(bar.x + bar.width <= 100 for bar in lane.bars)


def test_ticks_are_round_numbers_and_limited() -> None:
    drawing = lay_out([ran(1, 0, 660.0)])
    assert drawing
    assert [seconds for _, seconds in drawing.ticks[0]] == [0, 120, 240, 360, 480, 600]
    for zoom, ticks in zip(timeline.ZOOMS, drawing.ticks, strict=True):
        assert len(ticks) <= timeline.TICKS * zoom + 1


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 1e7])
def test_any_duration_can_be_drawn(seconds: float) -> None:
    drawing = lay_out([ran(1, 0, seconds)])
    assert drawing
    assert all(0 <= x <= 100 for ticks in drawing.ticks for x, _ in ticks)
    assert max(map(len, drawing.ticks)) <= timeline.TICKS * timeline.ZOOMS[-1] + 1


def test_a_negative_duration_has_a_bar_with_a_positive_width() -> None:
    drawing = lay_out([ran(1, 0, -5.0), ran(2, 1, 1.0)])
    assert drawing
    (lane,) = drawing.lanes
    assert all(bar.width > 0 for bar in lane.bars)


def test_the_slowest_tests_have_widths_relative_to_the_first() -> None:
    drawing = lay_out([ran(n, n, float(n)) for n in range(20)])
    assert drawing
    assert [bar.case.id for bar in drawing.slowest[:3]] == ["m.t19", "m.t18", "m.t17"]
    assert len(drawing.slowest) == timeline.SLOWEST
    assert drawing.slowest[0].width == 100


def test_the_number_of_lanes_is_limited() -> None:
    cases = [ran(n, n, 1.0, worker=f"w{n:03}") for n in range(timeline.LANES_BOUND + 3)]
    drawing = lay_out(cases)
    assert drawing
    assert len(drawing.lanes) == timeline.LANES_BOUND
    assert drawing.lanes_left_out == 3
