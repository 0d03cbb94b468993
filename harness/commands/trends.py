# SPDX-License-Identifier: Apache-2.0
"""The command that shows which series became slower or faster, since when, and how surely."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from rich.align import AlignMethod
from rich.console import Console
from rich.progress import track
from rich.text import Text

from bsdgate.harness.errors import UsageError
from bsdgate.results.model import count
from bsdgate.results.reporters.text import plain
from bsdgate.results.store.base import RunFilter
from bsdgate.results.store.window import Window
from bsdgate.results.trends import LevelChange, Movement, Series, Thresholds, Trend, follow

if TYPE_CHECKING:
    # Only for annotations: SQLAlchemy takes long to import.
    from bsdgate.results.store.database import Store

WIDTH: Final = 30
"""The number of columns of a plot. Each shows the median of an equal part of the points."""

CHANGES_SHOWN: Final = 40

_ORDER: Final = (Movement.REGRESSION, Movement.IMPROVEMENT, Movement.NOISE)
_STYLES: Final = {Movement.REGRESSION: "red", Movement.IMPROVEMENT: "green", Movement.NOISE: "dim"}
_BARS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BARS: Final = "_.:-=+*#"
_ID: Final = 8
_COLUMNS: Final[tuple[tuple[str, AlignMethod, int], ...]] = (
    ("change", "right", 7),
    ("95 % sure", "left", 17),
    ("seconds", "right", 13),
    ("since run", "left", 19),
    ("found in", "right", 8),
    ("chance", "right", 6),
)
_LEAST_CHANCE: Final = 0.001
_LARGE: Final = 10


def remembered(store: "Store", run_filter: RunFilter, limit: int, prefix: str = "") -> list[Series]:
    """Return the series with a name that begins with ``prefix``, for each suite and profile.

    The same test may take longer with another profile, which is not a change. If there are several
    suites or profiles, the names of the series contain them.

    :raises UsageError: there are runs, but the filter selects none, or no series begins with
        ``prefix``.
    """
    windows = {one: store.window(one, limit) for one in store.filters(run_filter, limit)}
    found = [
        replace(series, name=f"{series.name} of {_label(one)}") if len(windows) > 1 else series
        for one, window in windows.items()
        for series in of(window, prefix)
    ]
    if not found:
        _explain(store, run_filter, limit, prefix, list(windows.values()))
    return found


def _explain(
    store: "Store", run_filter: RunFilter, limit: int, prefix: str, windows: Sequence[Window]
) -> None:
    """Raise a UsageError with the reason why nothing was found, unless the history is empty."""
    if known := sum(len(window.series()) for window in windows):
        runs = count([record for window in windows for record in window.records], "run")
        hint = "give the beginning of a test's id or of a workload's name, or WORKLOAD/ACTION"
        raise UsageError(f"nothing begins with {prefix!r}: {runs} have {known} series", hint)
    everywhere = replace(run_filter, profile=None, suite=None)
    if not windows and (others := store.filters(everywhere, limit)):
        runs = count(store.runs(everywhere, limit), "run")
        message = f"nothing matches: no run of {_label(run_filter)} was judged without a change"
        raise UsageError(message, f"the last {runs} are of {', '.join(map(_label, others))}")


def _label(run_filter: RunFilter) -> str:
    return " ".join(filter(None, (run_filter.profile, run_filter.suite)))


def of(window: Window, prefix: str = "") -> list[Series]:
    """Return the durations of the tests with an id that begins with ``prefix``."""
    return [Series(name, points) for name, points in window.series(prefix).items()]


def show(series: Iterable[Series], console: Console, thresholds: Thresholds | None = None) -> None:
    """Print the last change of each series, regressions first, and a summary."""
    wanted = list(series)
    if not wanted:
        console.print(
            "the history has no run without a change: `bsdgate history import RUN_DIR` adds one",
            soft_wrap=True,
        )
        return
    watched = track(
        wanted, "analysing", console=console, transient=True, disable=not console.is_terminal
    )
    trends = [follow(each, thresholds or Thresholds()) for each in watched]
    changed = sorted((trend for trend in trends if trend.changes), key=_rank)
    if changed:
        bars = _ASCII_BARS if console.options.ascii_only else _BARS
        for line in _change_lines(changed[:CHANGES_SHOWN], bars):
            console.print(line, highlight=False, soft_wrap=True)
    if len(changed) > CHANGES_SHOWN:
        console.print(f"and {len(changed) - CHANGES_SHOWN} more", highlight=False)
    console.print(_summary(trends), highlight=False)


def _rank(trend: Trend) -> tuple[bool, int, float, str]:
    change = trend.changes[-1]
    size = max(change.ratio, 1 / change.ratio)
    return not change.held, _ORDER.index(change.kind), -size, trend.series.name


def _aligned(cells: Iterable[Text]) -> Text:
    cells = list(cells)
    for cell, (_, align, width) in zip(cells, _COLUMNS, strict=True):
        cell.align(align, width)
    return Text("  ").join(cells)


def _change_lines(trends: Iterable[Trend], bars: str) -> Iterator[Text]:
    """Yield a line of figures for each trend, then its id on a line of its own, and its plot."""
    yield _aligned(Text(title, "dim") for title, *_ in _COLUMNS)
    for trend in trends:
        change = trend.changes[-1]
        style = "" if change.held else "dim"
        for line in (
            _aligned(_row(trend, change)),
            Text(f"  {plain(trend.series.name)}"),
            Text("  ") + plot(trend, bars),
        ):
            line.style = style
            yield line


def _row(trend: Trend, change: LevelChange) -> Iterator[Text]:
    yield Text(percent(change.ratio) if change.held else "faded", style=_STYLES[change.kind])
    yield Text(f"{percent(change.low)} to {percent(change.high)}")
    yield Text(f"{change.before:.3g} -> {change.after:.3g}")
    moment = change.since.moment.astimezone(UTC).strftime("%Y-%m-%d")
    yield Text(f"{plain(change.since.run_id)[:_ID]} {moment}")
    points = trend.series.points
    runs = points.index(change.found) - points.index(change.since) + 1
    yield Text(f"{runs} run{'' if runs == 1 else 's'}")
    yield Text(f"< {max(change.chance, _LEAST_CHANCE):.1%}")


def percent(ratio: float) -> str:
    """Return the change of a duration as text: ``+10 %``, ``-3.2 %``, ``x12``."""
    if ratio >= _LARGE:
        return f"x{ratio:.0f}"
    more = 100 * (ratio - 1)
    return f"{more:+.0f} %" if abs(more) >= _LARGE else f"{more:+.1f} %"


def plot(trend: Trend, bars: str = _BARS) -> Text:
    """Draw a series in one line, in colour from its last change on.

    The lowest bar is the smallest of the medians drawn, the highest bar the largest.
    """
    points = trend.series.points
    width = min(WIDTH, len(points))
    edges = [len(points) * column // width for column in range(width + 1)]
    heights = [
        median(point.seconds for point in points[begin:end]) for begin, end in pairwise(edges)
    ]
    low, high = min(heights), max(heights)
    span = (high - low) or 1.0
    since = points.index(trend.changes[-1].since) if trend.changes else len(points)
    line = Text()
    for end, height in zip(edges[1:], heights, strict=True):
        bar = bars[round((height - low) / span * (len(bars) - 1))]
        line.append(bar, _STYLES[trend.kind] if end > since else "dim")
    return line.append(f"  {len(points)} runs", "dim")


def _summary(trends: Sequence[Trend]) -> str:
    known = [trend for trend in trends if trend.changes or trend.noise is not None]
    kinds = Counter(trend.kind for trend in known)
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in _ORDER)
    new = len(trends) - len(known)
    return f"{len(trends)} series: {counts}" + (f", {new} with too few runs" if new else "")
