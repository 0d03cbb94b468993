# SPDX-License-Identifier: Apache-2.0
"""The output of the command about trends."""

import io
import random
from dataclasses import replace

import pytest
from campaign import noise
from rich.console import Console
from unit.results.store.contract import verdict

from bsdgate.harness.commands import trends
from bsdgate.harness.errors import UsageError
from bsdgate.results.model import Case, Outcome
from bsdgate.results.store.base import ANY, RunFilter
from bsdgate.results.store.database import Store
from bsdgate.results.trends import Series, Thresholds, Trend, follow


def made_of(name: str, *parts: tuple[int, float], seed: int = 1) -> Series:
    rng = random.Random(seed)
    values = [level * (1 + rng.gauss(0, 0.05)) for count, level in parts for _ in range(count)]
    return Series(name, noise.series(values).points)


def shown(*series: Series, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    trends.show(series, Console(file=file, width=80))
    file.flush()
    file.seek(0)
    return file.read()


def test_regressions_come_first_with_run_size_and_chance() -> None:
    text = shown(
        made_of("quiet", (100, 5.0)),
        made_of("faster", (80, 10.0), (40, 5.0)),
        made_of("slower", (80, 10.0), (40, 11.0)),
        made_of("new", (5, 1.0)),
    )
    assert text.index("slower") < text.index("faster")
    lines = text.splitlines()
    row = lines[lines.index("  slower") - 1]
    assert "+10 %" in row or "+11 %" in row or "+9" in row
    assert "2026-03-2" in row
    assert "run" in row
    assert "<" in row
    assert "4 series: 1 regression, 1 improvement, 1 noise, 1 with too few runs" in text
    assert "quiet" not in text


def test_an_action_of_rally_that_became_slower_is_reported() -> None:
    name = "NovaServers.boot_and_delete_server/nova.boot_server"
    slower = made_of(name, (80, 10.0), (40, 11.0))
    with Store() as store:
        for number, point in enumerate(slower.points):
            store.import_run(verdict(number, timings={name: point.seconds}))
        found = trends.of(store.window(limit=400), "NovaServers")
    assert [(each.name, len(each.points)) for each in found] == [(name, 120)]
    text = shown(*found)
    assert "1 series: 1 regression" in text
    assert "+1" in text
    assert name in text


@pytest.fixture
def two_profiles() -> Store:
    """Forty runs of one second, then forty of one and a half seconds with another profile."""
    store = Store()
    for number in range(80):
        case = Case("t0", Outcome.SUCCESS, seconds=1.0 if number < 40 else 1.5)
        profile, suite = ("embedded", "smoke") if number < 40 else ("morello", "gate")
        made = verdict(number, profile=profile, suite=suite)
        store.import_run(replace(made, cases=(case,)))
    return store


def test_another_profile_is_another_series(two_profiles: Store) -> None:
    found = trends.remembered(two_profiles, ANY, 400)
    assert {each.name: {point.seconds for point in each.points} for each in found} == {
        "t0 of embedded smoke": {1.0},
        "t0 of morello gate": {1.5},
    }
    assert "2 series: 0 regression, 0 improvement, 2 noise" in shown(*found)


@pytest.mark.parametrize("run_filter", [RunFilter(profile="morello"), RunFilter(suite="gate")])
def test_with_one_profile_a_series_keeps_its_name(
    two_profiles: Store, run_filter: RunFilter
) -> None:
    (series,) = trends.remembered(two_profiles, run_filter, 400)
    assert (series.name, len(series.points)) == ("t0", 40)


def test_each_profile_has_as_many_runs_as_requested(two_profiles: Store) -> None:
    def points(limit: int) -> list[int]:
        return [len(each.points) for each in trends.remembered(two_profiles, ANY, limit)]

    # Of the newest 41 one is of embedded, so that 40 of each are read.
    assert (points(41), points(30)) == ([40, 40], [30])


@pytest.mark.parametrize(
    ("run_filter", "prefix", "message"),
    [
        (ANY, "x", "nothing begins with 'x': 80 runs have 2 series"),
        (RunFilter(suite="gate"), "x", "nothing begins with 'x': 40 runs have 1 series"),
        (
            RunFilter(suite="nope"),
            "",
            "no run of nope .*\n.* 80 runs are of embedded smoke, morello",
        ),
        (RunFilter(suite="nope", profile="p"), "t", "no run of p nope "),
    ],
    ids=["suite", "gate", "none", "profile"],
)
def test_a_scope_or_prefix_that_matches_nothing_is_an_error(
    two_profiles: Store, run_filter: RunFilter, prefix: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        trends.remembered(two_profiles, run_filter, 400, prefix)


def test_an_empty_history_is_not_an_error() -> None:
    assert trends.remembered(Store(), RunFilter(suite="gate"), 400, "x") == []


def test_figures_fit_a_narrow_terminal_and_ids_are_not_cut() -> None:
    name = "tempest.api." + "x" * 200
    *figures, label, _, _ = shown(made_of(name, (80, 10.0), (40, 900.0))).splitlines()
    assert label.strip() == name
    assert all(len(line) <= 80 for line in figures)
    assert len({len(line) for line in figures}) == 1


def test_a_change_that_faded_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    def fade(series: Series, thresholds: Thresholds) -> Trend:
        trend = follow(series, thresholds)
        if series.name != "gone":
            return trend
        return replace(trend, changes=(replace(trend.changes[0], low=0.99),))

    monkeypatch.setattr(trends, "follow", fade)
    text = shown(made_of("gone", (80, 10.0), (40, 20.0)), made_of("faster", (80, 10.0), (40, 5.0)))
    assert text.index("faster") < text.index("gone")
    assert "faded" in text


def test_control_characters_in_names_are_not_printed() -> None:
    text = shown(made_of("\x1b[31m[bold]evil[/]", (80, 10.0), (40, 20.0)))
    assert "\x1b" not in text
    assert "\\x1b[31m[bold]evil[/]" in text


def test_a_terminal_without_unicode_gets_a_plot_in_ascii() -> None:
    text = shown(made_of("slower", (80, 10.0), (40, 20.0)), encoding="ascii")
    assert "____" in text
    assert "120 runs" in text


def test_an_empty_result_names_the_next_step() -> None:
    assert "bsdgate history import" in shown()


@pytest.mark.parametrize(
    ("ratio", "said"), [(1.1, "+10 %"), (0.968, "-3.2 %"), (12.4, "x12"), (1.0, "+0.0 %")]
)
def test_percent(ratio: float, said: str) -> None:
    assert trends.percent(ratio) == said


@pytest.mark.parametrize("count", [1, 29, 30, 31, 365])
def test_a_plot_is_as_wide_as_it_can_be(count: int) -> None:
    line = trends.plot(follow(made_of("one", (count, 1.0))))
    assert len(line.plain.split()[0]) == min(count, trends.WIDTH)


def test_plot_of_a_flat_series() -> None:
    line = trends.plot(follow(noise.series([2.0] * 60)))
    assert set(line.plain.split()[0]) == {"▁"}


def test_series_of_a_window() -> None:
    with Store() as store:
        for number in range(3):
            store.import_run(verdict(number, dict.fromkeys(("a.t", "b.t"), Outcome.SUCCESS)))
        (series,) = trends.of(store.window(), "a.")
    assert (series.name, [point.seconds for point in series.points]) == ("a.t", [0.5, 1.5, 2.5])
