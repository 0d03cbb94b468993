# SPDX-License-Identifier: Apache-2.0
"""The drawing of workers over time."""

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


def test_it_keeps_order_and_stays_within_its_width() -> None:
    cases = [ran(n, n, 1.0, worker=f"worker-{n % 2}") for n in range(10)]
    drawing = lay_out([*reversed(cases), Case("m.untimed", Outcome.SKIP)])
    assert drawing
    assert [lane.worker for lane in drawing.lanes] == ["worker-0", "worker-1"]
    bars = [bar for lane in drawing.lanes for bar in lane.bars]
    assert len(bars) == 10
    assert min(bar.x for bar in bars) == 0
    assert max(bar.x + bar.width for bar in bars) == pytest.approx(100)
    assert drawing.ticks[0][-1] == (100.0, 10)


def test_without_times_there_is_none() -> None:
    assert lay_out([Case("m.a", Outcome.SUCCESS, BEGAN)]) is None


def test_a_bar_knows_its_place_among_the_cases() -> None:
    cases = [Case("m.untimed", Outcome.SKIP), ran(1, 5, 1.0), ran(2, 0, 1.0)]
    drawing = lay_out(cases)
    assert drawing
    (lane,) = drawing.lanes
    assert [bar.index for bar in lane.bars] == [2, 1]


def test_a_short_failure_is_seen_and_on_top() -> None:
    cases = [ran(1, 0, 0.001, Outcome.FAIL), ran(2, 1, 1000.0)]
    drawing = lay_out(cases)
    assert drawing
    (lane,) = drawing.lanes
    assert [bar.case.outcome for bar in lane.bars] == [Outcome.SUCCESS, Outcome.FAIL]
    assert lane.bars[1].width == timeline.THINNEST_TROUBLE


def test_nothing_sticks_out() -> None:
    drawing = lay_out([ran(1, 0, 100.0), ran(2, 100, 0.0, Outcome.FAIL)])
    assert drawing
    (lane,) = drawing.lanes
    assert all(bar.x + bar.width <= 100 for bar in lane.bars)


def test_ticks_are_round_and_about_as_many_as_fit() -> None:
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


def test_a_clock_that_went_back_makes_no_negative_bar() -> None:
    drawing = lay_out([ran(1, 0, -5.0), ran(2, 1, 1.0)])
    assert drawing
    (lane,) = drawing.lanes
    assert all(bar.width > 0 for bar in lane.bars)


def test_the_slowest_are_named_in_relation_to_the_slowest() -> None:
    drawing = lay_out([ran(n, n, float(n)) for n in range(20)])
    assert drawing
    assert [bar.case.id for bar in drawing.slowest[:3]] == ["m.t19", "m.t18", "m.t17"]
    assert len(drawing.slowest) == timeline.SLOWEST
    assert drawing.slowest[0].width == 100


def test_lanes_are_bounded() -> None:
    cases = [ran(n, n, 1.0, worker=f"w{n:03}") for n in range(timeline.LANES_BOUND + 3)]
    drawing = lay_out(cases)
    assert drawing
    assert len(drawing.lanes) == timeline.LANES_BOUND
    assert drawing.lanes_left_out == 3
