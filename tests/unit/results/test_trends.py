# SPDX-License-Identifier: Apache-2.0
"""Trends in series that are generated with a seed. tests/campaign has the figures."""

import math
import random
from dataclasses import replace
from statistics import fmean, linear_regression

import pytest
from campaign import noise
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.results.trends import (
    LevelChange,
    Movement,
    Series,
    Thresholds,
    Trend,
    TrendsError,
    follow,
)
from bsdgate.results.trends.follower import WARM_UP
from bsdgate.results.trends.noise import sureness


def made_of(*parts: tuple[int, float], spread: float = 0.05, seed: int = 1) -> Series:
    """Return a series with parts of (number of points, level) and normal noise."""
    rng = random.Random(seed)
    return noise.series(
        [level * (1 + rng.gauss(0, spread)) for count, level in parts for _ in range(count)]
    )


def only(trend: Trend) -> LevelChange:
    (change,) = trend.changes
    return change


def place(change: LevelChange) -> tuple[int, int]:
    return int(change.since.run_id), int(change.found.run_id)


def test_a_series_of_noise_has_no_change() -> None:
    trend = follow(made_of((200, 10.0)))
    assert (trend.kind, trend.changes) == (Movement.NOISE, ())
    assert trend.noise == pytest.approx(0.05, rel=0.2)


def test_a_regression_has_its_run_its_size_and_its_certainty() -> None:
    trend = follow(made_of((80, 10.0), (40, 11.0)))
    change = only(trend)
    assert (trend.kind, change.kind) == (Movement.REGRESSION, Movement.REGRESSION)
    since, found = place(change)
    assert abs(since - 80) <= 1
    assert 80 < found < 92
    assert change.before == pytest.approx(10, rel=0.02)
    assert change.after == pytest.approx(11, rel=0.02)
    assert change.low < 1.1 < change.high
    assert change.high - change.low < 0.06
    assert change.chance <= 0.01
    assert change.held


def test_a_step_down_is_an_improvement() -> None:
    change = only(follow(made_of((80, 10.0), (40, 9.0))))
    assert change.kind is Movement.IMPROVEMENT
    assert change.low < 0.9 < change.high
    assert change.held


def test_a_change_is_reported_once_and_a_later_one_from_the_new_level() -> None:
    changes = follow(made_of((80, 10.0), (150, 12.0), (150, 9.0))).changes
    assert [change.kind for change in changes] == [Movement.REGRESSION, Movement.IMPROVEMENT]
    assert changes[1].before == pytest.approx(12, rel=0.02)
    assert changes[1].ratio == pytest.approx(0.75, rel=0.02)


def test_a_return_to_the_old_level_is_reported_and_needs_no_warm_up() -> None:
    changes = follow(made_of((80, 10.0), (15, 12.0), (25, 10.0), (20, 12.0))).changes
    assert [change.kind for change in changes] == [
        Movement.REGRESSION,
        Movement.IMPROVEMENT,
        Movement.REGRESSION,
    ]
    for change, at in zip(changes, (80, 95, 120), strict=True):
        assert abs(place(change)[0] - at) <= 1
    # Without a warm-up: the level is that of the first eighty points again.
    assert place(changes[2])[1] - place(changes[1])[0] < WARM_UP + 8


def test_a_large_step_is_found_in_a_few_runs() -> None:
    since, found = place(only(follow(made_of((60, 10.0), (20, 100.0)))))
    assert (since, found) == (60, 63)


def test_a_small_step_is_found_after_many_runs() -> None:
    # One standard deviation: the quick sum alone would hardly move.
    changes = [
        only(follow(made_of((150, 10.0), (80, 11.0), spread=0.1, seed=seed))) for seed in range(9)
    ]
    assert {change.kind for change in changes} == {Movement.REGRESSION}


def test_a_slow_drift_is_found() -> None:
    rng = random.Random(3)
    values = [10 * (1 + 0.3 * day / 365 + rng.gauss(0, 0.03)) for day in range(365)]
    changes = follow(noise.series(values)).changes
    assert changes
    assert {change.kind for change in changes} == {Movement.REGRESSION}


def test_a_change_below_a_threshold_is_ignored() -> None:
    series = made_of((80, 10.0), (60, 10.3), spread=0.005)
    assert follow(series).changes == ()
    assert only(follow(series, Thresholds(share=0.02))).ratio == pytest.approx(1.03, rel=0.005)
    quick = made_of((80, 0.010), (60, 0.020))
    assert follow(quick).changes == ()
    assert only(follow(quick, Thresholds(seconds=0.005))).ratio == pytest.approx(2, rel=0.05)


def test_a_step_after_an_ignored_step_is_found_soon_and_at_its_run() -> None:
    since, found = place(only(follow(made_of((80, 10.0), (60, 10.3), (20, 11.5), spread=0.005))))
    assert 140 <= found <= 146
    assert since == 140


def test_one_outlier_is_not_a_change() -> None:
    series = made_of((200, 10.0))
    points = list(series.points)
    points[100] = replace(points[100], seconds=10_000.0)
    assert follow(Series("one", points)).changes == ()


def test_a_step_is_found_in_a_series_without_noise() -> None:
    flat = noise.series([2.0] * 100)
    assert follow(flat).changes == ()
    since, found = place(only(follow(noise.series([2.0] * 60 + [2.2] * 20))))
    assert (since, found) == (60, 62)
    assert follow(noise.series([0.0] * 100)).changes == ()


@pytest.mark.parametrize("count", [0, 1, WARM_UP - 1])
def test_a_series_with_too_few_points_has_no_noise_and_no_change(count: int) -> None:
    trend = follow(made_of((count, 10.0)))
    assert (trend.changes, trend.noise) == ((), None)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_an_invalid_duration_is_refused(value: float) -> None:
    series = noise.series([1.0, value])
    with pytest.raises(TrendsError, match=f"made up: run 1 has an invalid duration: {value} s"):
        follow(series)


def test_a_change_that_did_not_last_is_not_held() -> None:
    changes = follow(made_of((80, 10.0), (7, 11.0), (100, 10.0), seed=4)).changes
    assert changes
    assert not changes[0].held or len(changes) > 1


@given(st.randoms(use_true_random=False))
def test_the_order_in_which_runs_are_imported_does_not_matter(rng: random.Random) -> None:
    series = made_of((60, 10.0), (20, 12.0))
    shuffled = rng.sample(series.points, len(series.points))
    assert follow(Series(series.name, shuffled)) == follow(series)


@given(st.floats(0.1, 1000), st.integers(0, 1000))
def test_the_unit_of_time_does_not_matter(factor: float, seed: int) -> None:
    series = made_of((50, 10.0), (15, 12.0), seed=seed)
    scaled = [replace(point, seconds=point.seconds * factor) for point in series.points]
    ours, theirs = (follow(each, noise.ANY).changes for each in (series, Series("scaled", scaled)))
    assert [place(change) for change in ours] == [place(change) for change in theirs]


@given(st.integers(0, 1000))
def test_later_points_do_not_remove_a_change(seed: int) -> None:
    series = made_of((60, 10.0), (30, 12.0), (60, 8.0), seed=seed)
    whole = [place(change) for change in follow(series).changes]
    part = [place(change) for change in follow(Series("part", series.points[:100])).changes]
    assert part == [each for each in whole if each[1] < 100]


def test_years_of_noise_raise_few_alarms() -> None:
    kinds = ["normal", "t, 3 degrees", "outliers", "spikes"]
    raised = [noise.raises_any(kind, noise.ANY, number) for kind in kinds for number in range(25)]
    assert sum(raised) <= 4


def test_years_of_autocorrelated_noise_raise_few_alarms() -> None:
    kinds = ["AR(1) 0.2", "AR(1) 0.4", "AR(1) 0.6"]
    raised = [noise.raises_any(kind, noise.ANY, number) for kind in kinds for number in range(40)]
    assert sum(raised) <= 4


def test_a_large_step_is_found_in_autocorrelated_noise() -> None:
    for seed in range(9):
        values = noise.stepped("AR(1) 0.6", 80, seed, step=0.6)
        since, found = place(only(follow(noise.series(values))))
        assert abs(since - 80) <= 1
        assert found <= 88


def residuals(values: list[float], known: list[float]) -> list[float]:
    """Return the residuals of a linear regression of the values on ``known``."""
    slope, start = linear_regression(known, values)
    return [value - start - slope * by for value, by in zip(values, known, strict=True)]


@given(st.integers(0, 1000), st.integers(2, 20), st.floats(-3, 3))
def test_sureness_is_the_t_statistic_of_a_regression(seed: int, moved: int, height: float) -> None:
    # Theorem of Frisch and Waugh: the effect of the previous point is removed from both sides.
    drawn = noise.autoregressive(random.Random(seed), 50)
    scores = [*drawn[:-moved], *(value + height for value in drawn[-moved:])]
    move = [0.0] * (49 - moved) + [1.0] * moved
    left, way = residuals(scores[1:], scores[:-1]), residuals(move, scores[:-1])
    slope = linear_regression(way, left).slope
    error = fmean(value**2 for value in residuals(left, way)) * 49 / (49 - 3)
    expected = slope / math.sqrt(error / sum(value**2 for value in way))
    assert sureness(scores, 50 - moved) == pytest.approx(expected, abs=1e-6)


def test_an_autocorrelated_wave_is_not_a_step() -> None:
    rng = random.Random(5)
    before = noise.normal(rng, 60)
    jump = [2 + value for value in noise.normal(rng, 8)]
    assert sureness(before + jump, 60) > 4
    wave = [4 * 0.85**place for place in range(12)]
    waves = [sign * value for sign in (1, -1) * 3 for value in wave]
    assert abs(sureness(waves, 60)) < 2
    assert sureness([0.0] * 60, 50) == 0


def test_a_step_is_found_soon() -> None:
    found = [noise.delay("normal", 60, noise.STEP, number) for number in range(99)]
    delays = [each for each in found if each is not None]
    assert noise.quantile(delays, 0.5) <= 7
    assert noise.quantile(delays, 0.9) <= 12
